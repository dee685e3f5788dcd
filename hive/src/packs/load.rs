//! From paths to packs, or to a list of everything that is wrong with them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cargo::{self, NoWorkspace, Roots};
use super::diagnostic::{Diagnostic, closest};
use super::document::{self, Document};
use super::find::{find, shown};
use super::hivefile::{self, HiveFile};
use super::manifest;
use super::pack::{Location, Origin, Pack};

/// What was read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Loaded {
    /// The packs, sorted by origin and id.
    pub packs: Vec<Pack>,
    /// The hive's own file.
    pub hive: HiveFile,
    /// What is worth a look.
    pub warnings: Vec<Diagnostic>,
}

/// Searches paths for packs and reads them all. `hive` names the `hive.toml` to use; otherwise one is looked for in
/// each folder given, and beside each file given.
///
/// # Errors
/// Every fault of every file, sorted by place; never only the first.
pub fn load(paths: &[PathBuf], hive: Option<&Path>) -> Result<Loaded, Vec<Diagnostic>> {
    let found = find(paths);
    let mut faults = found.faults;
    let roots = Roots::default();
    let read_pack = |path: &PathBuf| read(path, manifest::read);
    let read_cargo = |path: &PathBuf| {
        read(path, |document, file| cargo::read(document, file, &roots.seen_from(path)))
    };
    let mut packs = Vec::new();
    let native: Vec<_> = found.packs.par_iter().map(read_pack).collect();
    let cargo: Vec<_> = found.cargo.par_iter().map(read_cargo).collect();
    // Packs whose files are faulty are there all the same, so that nobody is told they are missing.
    let mut faulty = Faulty::default();
    for read in native {
        match (&read.value, &read.name) {
            (None, Some(name)) => faulty.names.push(name.clone()),
            (None, None) => faulty.nameless += 1,
            (Some(_), _) => {}
        }
        packs.extend(read.value);
        faults.extend(read.faults);
    }
    for read in cargo {
        packs.extend(read.value);
        faults.extend(read.faults);
    }
    let mut warnings = Vec::new();
    if hive.is_none() && found.hives.is_empty() {
        for path in &found.deeper_hives {
            let message = "is not used: it lies below the paths given, not beside them";
            let help = "name it with `--hive`, or give its folder as a path";
            warnings.push(Diagnostic::file(shown(path), message, help).warning());
        }
    }
    let hive = read_hive(hive, &found.hives, &mut faults);
    base_names_no_pack(&hive, &packs, &mut faults);
    same_name(&packs, &mut faults);
    packs = without_copies(packs, &mut warnings);
    requirements_exist(&packs, &faulty, &mut faults);
    cycles(&packs, &mut faults);
    if packs.is_empty() && faults.is_empty() {
        for path in paths {
            let help = "give a folder that holds at least one of them";
            faults.push(Diagnostic::file(
                shown(path),
                "no `pack.toml` or `Cargo.toml` package found",
                help,
            ));
        }
    }
    faults.sort();
    faults.dedup();
    match faults.is_empty() {
        true => Ok(Loaded { packs, hive, warnings }),
        false => Err(faults),
    }
}

/// Reads the text of one `pack.toml`.
///
/// # Errors
/// Every fault found in it.
pub fn parse_pack_manifest(file: &str, text: &str) -> Result<Pack, Vec<Diagnostic>> {
    let mut document = Document::new(file, text);
    let pack = manifest::read(&mut document, file);
    pack.filter(|_| document.faults.is_empty()).ok_or(document.faults)
}

/// Reads the text of one `Cargo.toml` that inherits nothing. `None`: a virtual manifest.
///
/// # Errors
/// Every fault found in it.
pub fn parse_cargo_manifest(file: &str, text: &str) -> Result<Option<Pack>, Vec<Diagnostic>> {
    let mut document = Document::new(file, text);
    let pack = cargo::read(&mut document, file, &NoWorkspace);
    if document.faults.is_empty() { Ok(pack) } else { Err(document.faults) }
}

/// What came of one file.
struct Reading<T> {
    value: Option<T>,
    faults: Vec<Diagnostic>,
    name: Option<String>,
}

/// The packs that could not be read.
#[derive(Default)]
struct Faulty {
    names: Vec<String>,
    nameless: usize,
}

fn read<T>(path: &Path, parse: impl FnOnce(&mut Document<'_>, &str) -> Option<T>) -> Reading<T> {
    let file = shown(path);
    match document::read(path, &file) {
        Err(fault) => Reading { value: None, faults: vec![fault], name: None },
        Ok(text) => {
            let mut document = Document::new(&file, &text);
            let value = parse(&mut document, &file);
            Reading { value, faults: document.faults, name: document.name }
        }
    }
}

fn read_hive(given: Option<&Path>, found: &[PathBuf], faults: &mut Vec<Diagnostic>) -> HiveFile {
    let path = match (given, found) {
        (Some(path), _) => path,
        (None, []) => return HiveFile::default(),
        (None, [path]) => path,
        (None, [first, others @ ..]) => {
            let others: Vec<_> = others.iter().map(|path| shown(path)).collect();
            let message =
                format!("is not the only `hive.toml`: there is also {}", others.join(", "));
            faults.push(Diagnostic::file(shown(first), message, "choose one with `--hive FILE`"));
            return HiveFile::default();
        }
    };
    let read = read(path, |document, file| Some(hivefile::read(document, file)));
    faults.extend(read.faults);
    read.value.unwrap_or_default()
}

fn error_at(pack: &Pack, at: Location, message: String, help: String) -> Diagnostic {
    let mut fault = Diagnostic::file(&pack.file, message, help);
    fault.at = Some((at.line, at.column));
    fault
}

/// Two `pack.toml` must not have one name.
fn same_name(packs: &[Pack], faults: &mut Vec<Diagnostic>) {
    let mut first: BTreeMap<&str, &Pack> = BTreeMap::new();
    for pack in packs.iter().filter(|pack| pack.origin == Origin::Pack) {
        if let Some(earlier) = first.get(pack.name.as_str()) {
            let message = format!("the pack `{}` exists already, in {}", pack.name, earlier.file);
            faults.push(error_at(
                pack,
                pack.at,
                message,
                "give one of them another name".to_owned(),
            ));
        } else {
            first.insert(&pack.name, pack);
        }
    }
}

/// The versions of packs are their manifests' to state.
fn base_names_no_pack(hive: &HiveFile, packs: &[Pack], faults: &mut Vec<Diagnostic>) {
    for pack in packs.iter().filter(|pack| pack.origin == Origin::Pack) {
        let key = format!("packs/{}", pack.name);
        if hive.base.iter().any(|(base, _)| base.as_str() == key) {
            let message =
                format!("`[base]` states `{key}`, but {} states its version too", pack.file);
            let help = "remove it from `[base]`, or change the version in the manifest";
            faults.push(Diagnostic::file(hive.file.clone().unwrap_or_default(), message, help));
        }
    }
}

/// One Cargo package of one version counts once. If copies differ, the first by path counts, and the user is told.
fn without_copies(mut packs: Vec<Pack>, warnings: &mut Vec<Diagnostic>) -> Vec<Pack> {
    packs.sort_by(|a, b| (a.origin, &a.id, &a.file).cmp(&(b.origin, &b.id, &b.file)));
    let mut kept: Vec<Pack> = Vec::with_capacity(packs.len());
    for pack in packs {
        match kept.last() {
            Some(first) if first.origin == Origin::Cargo && first.id == pack.id => {
                if (&first.wishes, &first.spanning) != (&pack.wishes, &pack.spanning) {
                    let message =
                        format!("{} is here with other contents than in {}", pack.id, first.file);
                    let help = "only the first is used; give one of the two folders";
                    warnings.push(Diagnostic::file(&pack.file, message, help).warning());
                }
            }
            _ => kept.push(pack),
        }
    }
    kept
}

/// The packs that a pack requires, with the place that says so.
fn required(pack: &Pack) -> impl Iterator<Item = (&str, Location)> {
    pack.wishes
        .iter()
        .filter_map(|wish| Some((wish.key().as_str().strip_prefix("packs/")?, wish.at)))
}

fn requirements_exist(packs: &[Pack], faulty: &Faulty, faults: &mut Vec<Diagnostic>) {
    let native = packs.iter().filter(|pack| pack.origin == Origin::Pack);
    let names: Vec<&str> = native
        .map(|pack| pack.name.as_str())
        .chain(faulty.names.iter().map(String::as_str))
        .collect();
    for pack in packs {
        for (name, at) in required(pack).filter(|(name, _)| !names.contains(name)) {
            let help = match closest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if faulty.nameless > 0 => {
                    "mend the other files first: it may be one of those that cannot be read"
                        .to_owned()
                }
                None => "give its folder as well, or remove the requirement".to_owned(),
            };
            let message = format!("the pack `{name}` is required but was not found");
            faults.push(error_at(pack, at, message, help));
        }
    }
}

/// Reports each cycle of requirements once, at the requirement that closes it.
fn cycles(packs: &[Pack], faults: &mut Vec<Diagnostic>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Closed,
    }
    let place: HashMap<&str, usize> = packs
        .iter()
        .enumerate()
        .filter(|(_, p)| p.origin == Origin::Pack)
        .map(|(at, p)| (p.name.as_str(), at))
        .collect();
    let edges: Vec<Vec<(usize, Location)>> = packs
        .iter()
        .map(|pack| required(pack).filter_map(|(name, at)| Some((*place.get(name)?, at))).collect())
        .collect();
    let mut marks = vec![Mark::New; packs.len()];
    for start in 0..packs.len() {
        if marks[start] != Mark::New {
            continue;
        }
        // Depth first without recursion: a long chain of requirements must not overflow the stack.
        let mut path = vec![(start, 0)];
        marks[start] = Mark::Open;
        while let Some((pack, next)) = path.last_mut() {
            let pack = *pack;
            let Some(&(to, at)) = edges[pack].get(*next) else {
                marks[pack] = Mark::Closed;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[to] {
                Mark::New => {
                    marks[to] = Mark::Open;
                    path.push((to, 0));
                }
                Mark::Open => {
                    let from = path.iter().position(|(open, _)| *open == to).unwrap_or(0);
                    let names = path[from..].iter().map(|(open, _)| packs[*open].name.as_str());
                    let names: Vec<_> = names.chain([packs[to].name.as_str()]).collect();
                    let message = format!("the requirements form a cycle: {}", names.join(" → "));
                    faults.push(error_at(
                        &packs[pack],
                        at,
                        message,
                        "remove one of these requirements".to_owned(),
                    ));
                }
                Mark::Closed => {}
            }
        }
    }
}
