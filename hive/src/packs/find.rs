//! Which files under the given paths are manifests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::diagnostic::Diagnostic;

/// What was found, sorted by path, each file once however many ways lead to it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) packs: Vec<PathBuf>,
    pub(crate) cargo: Vec<PathBuf>,
    /// Each `hive.toml` in a folder given, or beside a file given.
    pub(crate) hives: Vec<PathBuf>,
    /// Each `hive.toml` further down.
    pub(crate) deeper_hives: Vec<PathBuf>,
    pub(crate) faults: Vec<Diagnostic>,
}

/// Searches files and folders. Hidden folders, `node_modules` and Cargo's build folders are passed over.
pub(crate) fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    // By canonical path, so that the order of the paths given decides nothing; of several ways to one file the
    // shortest is shown.
    let mut files: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut hives: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for path in paths {
        if path.metadata().is_ok_and(|meta| !meta.is_dir()) {
            if kind(path).is_none() {
                let help = match path.file_name().is_some_and(|name| name == "hive.toml") {
                    true => "give the packs' folder as a path, and this file with `--hive`",
                    false => "give a folder, a `pack.toml` or a `Cargo.toml`",
                };
                found.faults.push(Diagnostic::file(
                    shown(path),
                    "is neither a `pack.toml` nor a `Cargo.toml`",
                    help,
                ));
                continue;
            }
            note(&mut files, path);
            note_hive(&mut hives, path.parent().unwrap_or(Path::new("")));
        } else {
            note_hive(&mut hives, path);
            walk(path, &mut files, &mut found);
        }
    }
    for path in files.into_values() {
        match kind(&path) {
            Some(Kind::Pack) => found.packs.push(path),
            _ => found.cargo.push(path),
        }
    }
    found.packs.sort();
    found.cargo.sort();
    found.hives = hives.into_values().collect();
    found.deeper_hives.sort();
    found.deeper_hives.dedup();
    found.faults.sort();
    found.faults.dedup();
    found
}

enum Kind {
    Pack,
    Cargo,
}

fn kind(path: &Path) -> Option<Kind> {
    match path.file_name()?.to_str()? {
        "pack.toml" => Some(Kind::Pack),
        "Cargo.toml" => Some(Kind::Cargo),
        _ => None,
    }
}

fn walk(root: &Path, files: &mut BTreeMap<PathBuf, PathBuf>, found: &mut Found) {
    let entries = WalkDir::new(root).follow_links(true).into_iter().filter_entry(worth_entering);
    for entry in entries {
        match entry {
            // Whatever bears the name is a manifest, so that a folder or a pipe of that name is reported when read.
            Ok(entry) if entry.depth() > 0 && kind(entry.path()).is_some() => {
                note(files, entry.path())
            }
            Ok(entry) if entry.depth() > 1 && entry.file_name() == "hive.toml" => {
                found.deeper_hives.push(entry.into_path());
            }
            Ok(_) => {}
            Err(error) => found.faults.extend(fault(root, &error)),
        }
    }
}

fn worth_entering(entry: &DirEntry) -> bool {
    if entry.depth() == 0 || !entry.file_type().is_dir() {
        return true;
    }
    let name = entry.file_name().to_string_lossy();
    let build_output = name == "target" && entry.path().join("CACHEDIR.TAG").exists();
    !(name.starts_with('.') || name == "node_modules" || build_output)
}

fn fault(root: &Path, error: &walkdir::Error) -> Option<Diagnostic> {
    let path = error.path().unwrap_or(root);
    if let Some(ancestor) = error.loop_ancestor() {
        let message = format!("is a symbolic link back to {}, which contains it", shown(ancestor));
        return Some(Diagnostic::file(
            shown(path),
            message,
            "remove the link, or give the folders beside it one by one",
        ));
    }
    let io = error.io_error()?;
    let dangling = io.kind() == std::io::ErrorKind::NotFound && path.is_symlink();
    if dangling && kind(path).is_none() && error.depth() > 0 {
        return None; // It leads nowhere, so it hides no manifest.
    }
    let help = match io.kind() {
        std::io::ErrorKind::NotFound if !dangling => "check the spelling of the path",
        std::io::ErrorKind::PermissionDenied => "make it readable, or leave it out",
        _ => "mend or remove it",
    };
    Some(Diagnostic::file(shown(path), format!("cannot be searched: {io}"), help))
}

fn note(files: &mut BTreeMap<PathBuf, PathBuf>, path: &Path) {
    let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let way = files.entry(canonical).or_insert_with(|| path.to_owned());
    if (path.as_os_str().len(), path) < (way.as_os_str().len(), way.as_path()) {
        *way = path.to_owned();
    }
}

fn note_hive(hives: &mut BTreeMap<PathBuf, PathBuf>, folder: &Path) {
    let path = folder.join("hive.toml");
    // A link that leads nowhere is there as well, and is reported when it is read.
    if path.symlink_metadata().is_ok() {
        note(hives, &path);
    }
}

pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
