//! Secrets: where they are, never what they are.

use super::diagnostic::{Diagnostic, Severity, quote};
use super::problems::Place;
use super::reader::Item;
use super::suggest::nearest;
use crate::log::escape;
use crate::seams::Files;
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// A systemd credential, in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
}

/// A secret that the configuration names, and where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// Where the secret comes from.
    pub secret: SecretRef,
    /// The key that names it: `providers.acme.admin_secret`.
    pub key: String,
    /// Where that key stands; its message is not used.
    pub place: Diagnostic,
}

/// systemd tells a unit by this variable where its credentials are.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// The keys of a reference.
const SOURCES: [&str; 3] = ["credential", "env", "file"];
const EXAMPLE: &str = "{ file = \"/path/of/the/secret\" }, { env = \"NAME\" } or { credential = \"name\" }";

impl SecretRef {
    /// Reads the secret; one newline at its end is dropped.
    ///
    /// # Errors
    /// When it is missing, empty or unreadable; says where it should have been, never what it holds.
    pub fn resolve(&self, files: &dyn Files) -> Result<SecretString, String> {
        let content = match self {
            Self::Credential(name) => {
                let Some(folder) = std::env::var_os(CREDENTIALS_DIRECTORY) else {
                    return Err(format!(
                        "credential {} cannot be read: $CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit \
                         with LoadCredential={name}:PATH",
                        quote(name)
                    ));
                };
                let path = Path::new(&folder).join(name);
                read(files, &path).map_err(|error| {
                    format!(
                        "credential {}: {error}; give it to the unit with LoadCredential={name}:PATH",
                        quote(name)
                    )
                })?
            }
            Self::Env(name) => match std::env::var(name) {
                Ok(value) => value,
                Err(std::env::VarError::NotPresent) => {
                    return Err(format!("environment variable {} is not set", quote(name)));
                }
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(format!("environment variable {} is not UTF-8", quote(name)));
                }
            },
            Self::File(path) => read(files, path)?,
        };
        let secret = content.strip_suffix('\n').unwrap_or(&content);
        let secret = secret.strip_suffix('\r').unwrap_or(secret);
        if secret.is_empty() {
            return Err(format!("{self} is empty"));
        }
        Ok(SecretString::from(secret))
    }
}

impl SecretRef {
    /// Whether a systemd credential of that name was given to this process; anything else is there, as far as one can say.
    pub fn is_there(&self) -> bool {
        let Self::Credential(name) = self else { return true };
        std::env::var_os(CREDENTIALS_DIRECTORY)
            .is_some_and(|folder| Path::new(&folder).join(name).try_exists().unwrap_or(true))
    }
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "credential {}", quote(name)),
            Self::Env(name) => write!(f, "environment variable {}", quote(name)),
            Self::File(path) => write!(f, "file {}", quote(&path.to_string_lossy())),
        }
    }
}

impl SecretUse {
    /// The problem, if the secret cannot be read. A credential outside a systemd unit is a warning, as only the unit
    /// has it; anything else is an error.
    pub(super) fn check(&self, files: &dyn Files) -> Option<Diagnostic> {
        let message = self.secret.resolve(files).err()?;
        let is_outside_unit = matches!(self.secret, SecretRef::Credential(_))
            && std::env::var_os(CREDENTIALS_DIRECTORY).is_none();
        let severity = if is_outside_unit { Severity::Warning } else { Severity::Error };
        Some(Diagnostic { severity, message: format!("`{}`: {message}", self.key), ..self.place.clone() })
    }
}

fn read(files: &dyn Files, path: &Path) -> Result<String, String> {
    let name = quote(&path.to_string_lossy());
    let content = files.read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file {name}"),
        std::io::ErrorKind::PermissionDenied => format!("no permission to read {name}"),
        _ => format!("cannot read {name}: {}", escape(&error.to_string())),
    })?;
    // The error of a failed conversion would hold the bytes.
    String::from_utf8(content).map_err(|_| format!("file {name} is not UTF-8"))
}

/// Reads `{ credential = … }`, `{ env = … }` or `{ file = … }`.
pub(super) fn read_reference(item: &Item<'_>, folder: &Path) -> Option<SecretRef> {
    if item.value().as_table().is_none() {
        item.context.problems.mask(&item.place());
        let message = format!("`{}` is a secret: it is named here, not written here", item.name);
        item.error(message, format!("write {} = {EXAMPLE}", item.name));
        return None;
    }
    if report_strangers(item) {
        return None;
    }
    let section = item.any_section(EXAMPLE)?;
    let named: Vec<Item<'_>> = SOURCES.into_iter().filter_map(|key| section.item(key)).collect();
    let [source] = named.as_slice() else {
        item.error(format!("`{}` must have exactly one of `credential`, `env` and `file`", item.name), None);
        return None;
    };
    let text = source.string(EXAMPLE)?;
    let is_name =
        |allowed: fn(char) -> bool| !text.is_empty() && text.len() <= 255 && text.chars().all(allowed);
    let (is_right, rule) = match source.name {
        "credential" => (
            is_name(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !text.starts_with('.'),
            "letters, digits, `.`, `_` and `-`",
        ),
        "env" => (is_name(|c| c.is_ascii_alphanumeric() || c == '_'), "letters, digits and `_`"),
        _ => (!text.is_empty() && !text.contains('\0'), "a path"),
    };
    if !is_right {
        // Not shown: somebody may have put the secret itself here.
        item.context.problems.mask(&source.place());
        source.error(format!("`{}` must name the secret: {rule}", source.name), None);
        return None;
    }
    Some(match source.name {
        "credential" => SecretRef::Credential(text.to_owned()),
        "env" => SecretRef::Env(text.to_owned()),
        _ => SecretRef::File(folder.join(text)),
    })
}

/// Reports what is under any other key; it is not shown, nor is the key: either may be the secret.
fn report_strangers(item: &Item<'_>) -> bool {
    let problems = item.context.problems;
    let mut found = false;
    for (key, value) in item.value().as_table().into_iter().flatten() {
        let name = key.get_ref().as_ref();
        if SOURCES.contains(&name) {
            continue;
        }
        found = true;
        let place = |span| Place { file: item.context.file, span: Some(span) };
        problems.mask(&place(value.span()));
        let help = match nearest(name, SOURCES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                problems.mask(&place(key.span()));
                format!("write {} = {EXAMPLE}", item.name)
            }
        };
        problems.error(&place(key.span()), format!("`{}` has an unknown key", item.name), help);
    }
    found
}
