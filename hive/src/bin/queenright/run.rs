//! `queenright run`.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use queenright::Snapshot;
use queenright::log::{DiskLog, LogError, Opening};
use queenright::packs::{self, Diagnostic, Loaded, Options, Report, Resolution};

use crate::args::{Format, Run};
use crate::{FAULTY, RESOLVED, UNRESOLVED, human, json, note, out};

/// Does what was asked, and returns the exit status.
pub(crate) fn run(args: &Run) -> u8 {
    let started = Instant::now();
    let bar = progress_bar();
    bar.set_message("reading manifests");
    let loaded = packs::load(&args.paths, args.hive.as_deref());
    let read = started.elapsed();
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(faults) => {
            bar.finish_and_clear();
            return faulty(args, &faults);
        }
    };
    let log = match args.log.as_ref().map(DiskLog::open).transpose() {
        Ok(log) => log,
        Err(error) => {
            bar.finish_and_clear();
            return fail(args, &error.to_string());
        }
    };
    let opening = log.as_ref().map(|log| log.opening().clone());
    let resolution = resolve(args, loaded, log, &bar);
    bar.finish_and_clear();
    let mut resolution = match resolution {
        Ok(resolution) => resolution,
        Err(error) => return fail(args, &error.to_string()),
    };
    resolution.report.warnings.extend(opening.iter().flat_map(warnings));
    let resolved = started.elapsed() - read;
    let written = shown(args, &resolution)
        .and_then(|text| write_configuration(args, &resolution.report).map(|()| text));
    let printed = written.and_then(|text| {
        out(&text).map_err(|error| format!("standard output cannot be written: {error}"))
    });
    if let Err(message) = printed {
        return fail(args, &message);
    }
    if args.format == Format::Human {
        resolution.report.warnings.iter().for_each(|warning| note(&warning.to_string()));
        if let (Some(folder), Some(opening)) = (&args.log, &opening) {
            note(&continued(folder, opening, resolution.report.rounds));
        }
        note(&format!(
            "took {} to read and {} to resolve",
            human::time(read),
            human::time(resolved)
        ));
    }
    if resolution.report.is_resolved() { RESOLVED } else { UNRESOLVED }
}

fn resolve(
    args: &Run,
    loaded: Loaded,
    log: Option<DiskLog>,
    bar: &ProgressBar,
) -> Result<Resolution, packs::ResolveError> {
    let agents = loaded.packs.len();
    bar.set_length(agents as u64);
    bar.set_style(style("{bar:30} {pos}/{len} agents settled, {msg}"));
    bar.set_message("round 1");
    let options = Options { seed: args.seed, threads: args.threads, rounds: args.rounds };
    let progress = |state: &Snapshot, waiting: usize| {
        bar.set_position(agents.saturating_sub(waiting) as u64);
        bar.set_message(format!("round {}", state.version()));
    };
    match log {
        None => packs::resolve_with(loaded, &options, progress),
        Some(log) => packs::resolve_logged(loaded, &options, log, progress),
    }
}

/// What was found in the log that is worth a look.
fn warnings(opening: &Opening) -> Vec<Diagnostic> {
    let torn = opening.torn.iter().map(|torn| {
        let message = format!(
            "{} at the end, from byte {} on, are no whole record, and were left out",
            human::count(torn.bytes, "byte"),
            torn.offset
        );
        let help =
            "a run that is stopped while it writes leaves this; if none was, look after the disk";
        Diagnostic::file(torn.path.display().to_string(), message, help).warning()
    });
    let image = |error: &LogError| {
        let help = "an older image and the records after it were used instead";
        let file = match error {
            LogError::Damaged { path, .. } | LogError::Missing { path, .. } => path.as_path(),
            _ => Path::new(""),
        };
        Diagnostic::file(file.display().to_string(), error.to_string(), help).warning()
    };
    torn.chain(opening.unusable_images.iter().map(image)).collect()
}

/// How a run went on with a log.
fn continued(folder: &Path, opening: &Opening, rounds: u64) -> String {
    let (before, folder) = (opening.last.0, folder.display());
    match (before, rounds.saturating_sub(before)) {
        (0, added) => format!("{} written to {folder}", human::count(added, "round")),
        (_, 0) => format!("{folder} has all {}; none was added", human::count(before, "round")),
        (_, added) => format!("continued after round {before} of {folder}; {added} added"),
    }
}

/// A bar on standard error, and only if that is a terminal.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    bar.set_style(style("{spinner} {msg}"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn shown(args: &Run, resolution: &Resolution) -> Result<String, String> {
    let explanation =
        args.explain.as_deref().map(|key| packs::explain(resolution, key)).transpose()?;
    Ok(match (&explanation, args.format) {
        (Some(explanation), Format::Human) => human::explanation(explanation),
        (Some(explanation), Format::Json) => json::explanation(explanation),
        (None, Format::Human) => human::summary(resolution, args.out.as_deref(), args.verbose),
        (None, Format::Json) => json::report(&resolution.report),
    })
}

fn faulty(args: &Run, faults: &[Diagnostic]) -> u8 {
    match args.format {
        Format::Json => drop(out(&json::faults(faults))),
        Format::Human => {
            faults.iter().for_each(|fault| note(&fault.to_string()));
            let (count, what) = (faults.len(), if faults.len() == 1 { "error" } else { "errors" });
            note(&format!("{count} {what}; nothing was resolved"));
        }
    }
    FAULTY
}

fn fail(args: &Run, message: &str) -> u8 {
    match args.format {
        Format::Json => drop(out(&json::failure(message))),
        Format::Human => note(&format!("error: {message}")),
    }
    FAULTY
}

/// Writes the configuration beside its place and renames it, so that no reader ever sees half of it.
fn write_configuration(args: &Run, report: &Report) -> Result<(), String> {
    let Some(path) = &args.out else { return Ok(()) };
    let text = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => json::pretty(&packs::to_json(report)),
        _ => packs::to_toml(report),
    };
    write_whole(path, text.as_bytes()).map_err(|error| {
        // Without the temporary file's name, which means nothing to the user and differs each time.
        let error = error.raw_os_error().map_or(error, std::io::Error::from_raw_os_error);
        format!("{} cannot be written: {error}; choose another place with `--out`", path.display())
    })
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // Through a link the file behind it is replaced, not the link.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let existing = target.metadata().ok();
    if existing.as_ref().is_some_and(|meta| !meta.is_file()) {
        return Err(std::io::Error::other("it exists and is not a regular file"));
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file, what the umask leaves of it; or as the file that is replaced.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.prefix(".queenright-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Some(existing) = existing {
        file.as_file().set_permissions(existing.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target)?;
    Ok(())
}
