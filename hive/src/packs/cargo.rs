//! Real `Cargo.toml` manifests: packages as published, and members of a workspace.
//!
//! Only what decides about dependencies is read; the rest of a manifest is Cargo's business. Dev-dependencies are left
//! out, as they bind nobody who depends on the package.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::diagnostic::Diagnostic;
use super::document::{self, Document, Item, Table, in_order};
use super::manifest;
use super::pack::{Ask, Location, Origin, Pack, Spanning, Wish};
use crate::key::Key;
use crate::lock::lock;
use crate::op::Op;
use crate::requirement::Requirement;
use crate::value::Value;
use queenright_primitives::schedule::Class;

/// What members inherit from the root of their workspace.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    version: Option<String>,
    dependencies: HashMap<String, Declared>,
}

/// A dependency as one table declares it.
#[derive(Clone, Debug, Default)]
struct Declared {
    package: Option<String>,
    version: Option<String>,
    features: Vec<String>,
    default_features: Option<bool>,
    /// `workspace = true`: the rest comes from the workspace's root.
    inherited: bool,
}

/// Finds the workspace that a manifest belongs to. `None` in the inner place means that there is none.
pub(crate) trait Workspaces {
    /// The workspace of the manifest; `explicit` is its `package.workspace`.
    fn of(&self, explicit: Option<&str>) -> Result<Option<Arc<Workspace>>, Diagnostic>;
}

/// Without a file system, as when a text alone is parsed.
pub(crate) struct NoWorkspace;

impl Workspaces for NoWorkspace {
    fn of(&self, _: Option<&str>) -> Result<Option<Arc<Workspace>>, Diagnostic> {
        Ok(None)
    }
}

/// Roots that were read, so that the members of a workspace read theirs once.
#[derive(Default)]
pub(crate) struct Roots(Mutex<HashMap<PathBuf, Option<Arc<Workspace>>>>);

impl Roots {
    /// The workspaces as the manifest at `path` sees them.
    pub(crate) fn seen_from<'r>(&'r self, path: &'r Path) -> impl Workspaces + 'r {
        SeenFrom { roots: self, path }
    }

    fn load(&self, root: &Path) -> Result<Option<Arc<Workspace>>, Diagnostic> {
        if let Some(known) = lock(&self.0).get(root) {
            return Ok(known.clone());
        }
        let shown = root.display().to_string();
        let text = document::read(root, &shown)?;
        let mut document = Document::new(&shown, &text);
        let found =
            document.parse().and_then(|table| workspace(&mut document, &table)).map(Arc::new);
        if let Some(fault) = document.faults.into_iter().next() {
            return Err(fault);
        }
        let mut known = lock(&self.0);
        known.insert(root.to_owned(), found.clone());
        Ok(found)
    }
}

struct SeenFrom<'r> {
    roots: &'r Roots,
    path: &'r Path,
}

impl Workspaces for SeenFrom<'_> {
    fn of(&self, explicit: Option<&str>) -> Result<Option<Arc<Workspace>>, Diagnostic> {
        let absolute = std::path::absolute(self.path).unwrap_or_else(|_| self.path.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        if let Some(explicit) = explicit {
            return self.roots.load(&folder.join(explicit).join("Cargo.toml"));
        }
        for folder in folder.ancestors() {
            let root = folder.join("Cargo.toml");
            if root.is_file()
                && let Some(found) = self.roots.load(&root)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn workspace(document: &mut Document<'_>, root: &Table<'_>) -> Option<Workspace> {
    let table = root.get("workspace")?.get_ref().as_table()?;
    let package = table.get("package").and_then(|item| item.get_ref().as_table());
    let version =
        package.and_then(|package| package.get("version")?.get_ref().as_str().map(str::to_owned));
    let dependencies = match table.get("dependencies").and_then(|item| item.get_ref().as_table()) {
        None => HashMap::new(),
        Some(table) => in_order(table)
            .into_iter()
            .filter_map(|(name, item)| {
                Some((name.get_ref().to_string(), declared(document, name.get_ref(), item)?))
            })
            .collect(),
    };
    Some(Workspace { version, dependencies })
}

/// Reads one `Cargo.toml`. `None` with no fault left in the document: a virtual manifest, which is no package.
pub(crate) fn read(
    document: &mut Document<'_>,
    file: &str,
    workspaces: &dyn Workspaces,
) -> Option<Pack> {
    let root = document.parse()?;
    let Some(item) = root.get("package").or_else(|| root.get("project")) else {
        if root.get("workspace").is_none() {
            let help = "a Cargo manifest has `[package]` or `[workspace]`";
            document.error(0..0, "there is neither `[package]` nor `[workspace]`", help);
        }
        return None;
    };
    let package = document.table("package", item)?;
    let Some(name) = package.get("name") else {
        document.error(item.span(), "`[package]` has no `name`", "add `name = \"…\"`");
        return None;
    };
    let (name, name_span) = (document.text("name", name)?, name.span());
    let mut inherit = Inherit {
        workspaces,
        explicit: package.get("workspace").and_then(|w| w.get_ref().as_str()),
        found: None,
    };
    let version = package_version(document, package, &mut inherit)?;
    let mut reader = Reader { wishes: Vec::new(), spanning: Vec::new() };
    let key = document.key(name_span.clone(), &format!("packages/{name}"))?;
    let version_text = Value::from(version.to_string());
    let at = document.at(name_span);
    reader.wishes.push(Wish { at, asks: vec![(key, Ask::Op(Op::union([version_text])))] });
    reader.sections(document, &root, &mut inherit);
    if let Some(target) = root.get("target").and_then(|item| item.get_ref().as_table()) {
        for (_, item) in in_order(target) {
            if let Some(table) = item.get_ref().as_table() {
                reader.sections(document, table, &mut inherit);
            }
        }
    }
    let description = package.get("description").and_then(|item| item.get_ref().as_str());
    Some(Pack {
        id: format!("{name} {version}").into(),
        description: description.unwrap_or_default().trim().to_owned(),
        name,
        version,
        class: Class::Normal,
        origin: Origin::Cargo,
        file: file.to_owned(),
        at,
        wishes: reader.wishes,
        spanning: reader.spanning,
        conditions: Vec::new(),
    })
}

/// The workspace, looked for when something is inherited from it.
struct Inherit<'w> {
    workspaces: &'w dyn Workspaces,
    explicit: Option<&'w str>,
    found: Option<Option<Arc<Workspace>>>,
}

impl Inherit<'_> {
    fn workspace(
        &mut self,
        document: &mut Document<'_>,
        span: Range<usize>,
    ) -> Option<Arc<Workspace>> {
        if self.found.is_none() {
            self.found = Some(match self.workspaces.of(self.explicit) {
                Ok(found) => found,
                Err(fault) => {
                    document.faults.push(fault);
                    return None;
                }
            });
        }
        let found = self.found.clone().flatten();
        if found.is_none() {
            let help = "keep the manifest inside its workspace, or write the value out";
            document.error(
                span,
                "this is inherited from a workspace, but no folder above has one",
                help,
            );
        }
        found
    }
}

fn package_version(
    document: &mut Document<'_>,
    package: &Table<'_>,
    inherit: &mut Inherit<'_>,
) -> Option<semver::Version> {
    let Some(item) = package.get("version") else {
        // As Cargo: a package that is not published needs no version.
        return Some(semver::Version::new(0, 0, 0));
    };
    let inherited =
        item.get_ref().as_table().and_then(|table| table.get("workspace")?.get_ref().as_bool());
    let text = match inherited {
        Some(true) => {
            let version = inherit.workspace(document, item.span())?.version.clone();
            if version.is_none() {
                let help = "add `version` to `[workspace.package]`, or write it here";
                document.error(item.span(), "the workspace states no version", help);
            }
            version?
        }
        _ => document.text("version", item)?,
    };
    manifest::version(document, &text, item.span())
}

struct Reader {
    wishes: Vec<Wish>,
    spanning: Vec<Spanning>,
}

impl Reader {
    fn sections(
        &mut self,
        document: &mut Document<'_>,
        table: &Table<'_>,
        inherit: &mut Inherit<'_>,
    ) {
        for section in ["dependencies", "build-dependencies", "build_dependencies"] {
            let Some(item) = table.get(section) else {
                continue;
            };
            let Some(table) = document.table(section, item) else {
                continue;
            };
            for (name, item) in in_order(table) {
                self.dependency(document, name.span(), name.get_ref(), item, inherit);
            }
        }
    }

    fn dependency(
        &mut self,
        document: &mut Document<'_>,
        span: Range<usize>,
        name: &str,
        item: &Item<'_>,
        inherit: &mut Inherit<'_>,
    ) -> Option<()> {
        let mut dependency = declared(document, name, item)?;
        if dependency.inherited {
            let workspace = inherit.workspace(document, span.clone())?;
            let Some(root) = workspace.dependencies.get(name) else {
                let message = format!("the workspace declares no dependency `{name}`");
                document.error(span, message, "add it to `[workspace.dependencies]`");
                return None;
            };
            dependency = dependency.on_top_of(root);
        }
        // Without a version (a path or git dependency) any version will do.
        let requirement = match &dependency.version {
            None => Requirement::any(),
            Some(text) => manifest::requirement(document, text, item.span())?,
        };
        let features = dependency.features();
        let name = dependency.package.as_deref().unwrap_or(name);
        // Keys are made of the name later, so that it is checked here.
        document.key(span.clone(), &format!("features/{name}/any"))?;
        let at = document.at(span);
        match requirement.bucket() {
            Some(series) => self.wishes.push(dependency_wish(
                at,
                name,
                &series.to_string(),
                requirement,
                features,
            )?),
            None => {
                self.spanning.push(Spanning { at, name: name.to_owned(), requirement, features })
            }
        }
        Some(())
    }
}

/// One requirement and its features, in one series.
pub(crate) fn dependency_wish(
    at: Location,
    name: &str,
    series: &str,
    requirement: Requirement,
    features: Vec<Value>,
) -> Option<Wish> {
    let deps = Key::new(format!("deps/{name}/{series}")).ok()?;
    let mut asks = vec![(deps, Ask::Op(Op::constrain(requirement)))];
    if !features.is_empty() {
        let key = Key::new(format!("features/{name}/{series}")).ok()?;
        asks.push((key, Ask::Op(Op::union(features))));
    }
    Some(Wish { at, asks })
}

impl Declared {
    /// This member's declaration with what it inherits: features add up, and a member can only turn the default
    /// features on.
    fn on_top_of(mut self, root: &Declared) -> Declared {
        self.package = root.package.clone();
        self.version = root.version.clone();
        self.features.extend(root.features.iter().cloned());
        self.default_features = match (self.default_features, root.default_features) {
            (Some(true), _) => Some(true),
            (_, root) => root,
        };
        self
    }

    fn features(&self) -> Vec<Value> {
        let default = self.default_features.unwrap_or(true).then_some("default");
        let mut features: Vec<Value> =
            self.features.iter().map(String::as_str).chain(default).map(Value::from).collect();
        features.sort();
        features.dedup();
        features
    }
}

fn declared(document: &mut Document<'_>, name: &str, item: &Item<'_>) -> Option<Declared> {
    if let Some(version) = item.get_ref().as_str() {
        return Some(Declared { version: Some(version.to_owned()), ..Declared::default() });
    }
    let Some(table) = item.get_ref().as_table() else {
        document.wrong_type(item, name, "a version requirement in quotes, or a table");
        return None;
    };
    let mut text = |field: &str| match table.get(field) {
        None => Some(None),
        Some(item) => document.text(field, item).map(Some),
    };
    let (version, package) = (text("version"), text("package"));
    let flag = |field: &str| table.get(field).and_then(|item| item.get_ref().as_bool());
    let features = match table.get("features").map(|item| (item, item.get_ref().as_array())) {
        None => Some(Vec::new()),
        Some((_, Some(array))) => {
            let features = array.iter().map(|item| document.text("features", item));
            features.collect::<Vec<_>>().into_iter().collect()
        }
        Some((item, None)) => {
            document.wrong_type(item, "features", "a list of names");
            None
        }
    };
    Some(Declared {
        version: version?,
        package: package?,
        features: features?,
        default_features: flag("default-features").or_else(|| flag("default_features")),
        inherited: flag("workspace").unwrap_or(false),
    })
}
