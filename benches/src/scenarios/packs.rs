//! Packs: from manifests to a resolved configuration.

use std::hint::black_box;
use std::path::PathBuf;

use queenright::packs::{self, Loaded, Options, parse_pack_manifest};
use queenright_measure::{Case, Contender, Figure, Goal, Per, Sampler, Scenario, Side};

const SUITE: &str = "hive_coordination";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "consensus_latency",
            what: "parsed packs resolved: agents spawned, analysed, proposed, decided, committed, reported",
            cases: latency,
        },
        Scenario {
            suite: SUITE,
            name: "configuration_analysis",
            what: "one pack's manifest, from text to what its agent will propose",
            cases: analysis,
        },
        Scenario {
            suite: SUITE,
            name: "orchestration_throughput",
            what: "whole resolutions of ten packs",
            cases: orchestration,
        },
    ]
}

/// The text of one of many packs: it shares some keys with all others and agrees with them, as most do.
fn manifest(number: u64) -> String {
    let requires = match number {
        0 => String::new(),
        _ => format!("pack-{} = \"^1.{}\"\n", number / 2, number / 2 % 3),
    };
    format!(
        "[pack]\nname = \"pack-{number}\"\nversion = \"1.{}.0\"\npriority = \"normal\"\ndescription = \"Part {number} \
         of a made-up application\"\n\n[requires]\n{requires}\n[namespaces]\nshared = \"urn:shared\"\n\
         own{number} = \"urn:own:{number}\"\n\n[classes]\nThing{number} = \"A thing of part {number}\"\n\n[settings]\n\
         \"part-{number}.port\" = {}\n\"part-{number}.name\" = \"part {number}\"\nregion = \"north\"\n\n[contribute]\n\
         memory = {{ add = {} }}\n\"timeout\" = {{ max = {} }}\nfeatures = {{ union = [\"f{}\", \"base\"] }}\n",
        number % 3,
        8000 + number,
        16 + number % 7,
        number % 50,
        number % 20,
    )
}

fn loaded(count: u64) -> Loaded {
    let parse = |number| {
        let parsed = parse_pack_manifest("pack.toml", &manifest(number));
        parsed.unwrap_or_else(|faults| panic!("a sound manifest: {faults:?}"))
    };
    let mut loaded = Loaded::default();
    loaded.packs = (0..count).map(parse).collect();
    loaded
}

fn example() -> Loaded {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../hive/examples/packs"));
    packs::load(&[folder], None).unwrap_or_else(|faults| panic!("sound examples: {faults:?}"))
}

fn latency(quick: bool) -> Vec<Case> {
    let sizes: &[u64] = if quick { &[1, 10, 100] } else { &[1, 3, 5, 10, 20, 50, 100, 1000] };
    let mut cases = Vec::new();
    for &count in sizes {
        let case = Case::nanoseconds()
            .hands_over()
            .limit("thread hand-over", 2.0)
            .param("conflicts", "none")
            .axis("packs", count)
            .contenders(move || vec![resolving(move || loaded(count), Some(count))]);
        cases.push(if count == 10 { fast(case) } else { case });
    }
    let case = Case::nanoseconds()
        .hands_over()
        .limit("thread hand-over", 2.0)
        .param("conflicts", "of every kind")
        .axis("packs", 10);
    cases.push(fast(case.contenders(|| vec![resolving(example, None)])));
    cases
}

fn fast(case: Case) -> Case {
    case.goal(Goal::Below(Figure::P50, 100_000.0)).goal(Goal::Below(Figure::P99, 500_000.0))
}

fn resolving(load: impl Fn() -> Loaded + 'static, without_conflict: Option<u64>) -> Contender {
    let make = move || resolving_again(load(), without_conflict);
    Contender::made("queenright resolve", Side::Ours, make)
}

fn resolving_again(loaded: Loaded, without_conflict: Option<u64>) -> impl FnMut(&mut Sampler<'_>) {
    let resolution = packs::resolve(loaded.clone(), &Options::default());
    let report = resolution.unwrap_or_else(|error| panic!("no fault: {error}")).report;
    if let Some(count) = without_conflict {
        assert_eq!((report.packs as u64, report.conflicts.len()), (count, 0));
    }
    move |sampler| {
        sampler.each_with(
            || loaded.clone(),
            |loaded| {
                let resolution = packs::resolve(loaded, &Options::default());
                let resolution = resolution.unwrap_or_else(|error| panic!("no fault: {error}"));
                assert_eq!(resolution.report.conflicts.len(), report.conflicts.len());
                resolution
            },
        );
    }
}

fn analysis(quick: bool) -> Vec<Case> {
    let sizes: &[u64] = if quick { &[20] } else { &[1, 5, 10, 20, 300] };
    let case = |&count: &u64| {
        Case::nanoseconds().axis("packs", count).goal(Goal::TimesLimit(2.0)).contenders(move || {
            let texts: Vec<String> = (0..count).map(manifest).collect();
            let same = texts.clone();
            vec![
                Contender::ours("queenright parse_pack_manifest", move |sampler| {
                    sampler.each_per(
                        count,
                        || (),
                        |()| {
                            for text in &texts {
                                assert!(black_box(parse_pack_manifest("pack.toml", text)).is_ok());
                            }
                        },
                    );
                }),
                Contender::limit("the TOML parser alone", move |sampler| {
                    sampler.each_per(
                        count,
                        || (),
                        |()| {
                            for text in &same {
                                assert!(black_box(toml::de::DeTable::parse(text)).is_ok());
                            }
                        },
                    );
                }),
            ]
        })
    };
    sizes.iter().map(case).collect()
}

fn orchestration(quick: bool) -> Vec<Case> {
    let runs: &[u64] = if quick { &[10] } else { &[10, 50, 100] };
    let mut cases = Vec::new();
    for hives in [1_usize, 8] {
        for &runs in runs {
            let case = Case::rate()
                .param("at once", hives)
                .axis("runs", runs)
                .goal(Goal::AtLeast(5000.0))
                .limit("thread hand-over", 2.0)
                .contenders(move || {
                    let loaded = loaded(10);
                    vec![Contender::ours("queenright resolve", move |sampler| {
                        let prepare = || {
                            let share = runs.div_ceil(hives as u64);
                            (0..hives)
                                .map(|_| {
                                    std::sync::Mutex::new(vec![loaded.clone(); share as usize])
                                })
                                .collect::<Vec<_>>()
                        };
                        let run = |work: &Vec<std::sync::Mutex<Vec<Loaded>>>, number: usize| {
                            let mine =
                                std::mem::take(&mut *work[number].lock().expect("mine alone"));
                            let count = mine.len() as u64;
                            for loaded in mine {
                                let resolution = packs::resolve(loaded, &Options::default());
                                assert!(resolution.is_ok_and(|done| done.report.packs == 10));
                            }
                            count
                        };
                        // The queen and the pool's threads help.
                        sampler.work(Per::Second, hives, hives + 2, prepare, run, |_, _| ());
                    })]
                });
            cases.push(case);
        }
    }
    cases
}
