//! The key by which the gateway knows this device.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::encode::{base64url, from_hex, hex};

const FILE: &str = "device.json";
/// Ours is below 200 bytes.
const BYTES_MAX: u64 = 4096;

/// Why there is no key.
#[derive(Debug, Error)]
pub(super) enum DeviceError {
    /// The file could not be read.
    #[error("read the device key `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A new one could not be kept: the gateway would meet another device each time.
    #[error("keep the device key `{path}`")]
    Keep {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("make a device key: no random numbers from the system")]
    Random,
}

/// An Ed25519 key, and the id that the gateway derives from it.
#[derive(Clone)]
pub(super) struct Device {
    key: SigningKey,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: String,
    secret_key: String,
}

const SCHEMA: &str = "clawarden.device/v1";

impl Device {
    /// Reads the key in `folder`, or makes one and keeps it there, readable for its owner alone.
    ///
    /// A file that is no key is set aside and named in the second value: the gateway may have
    /// paired it.
    ///
    /// # Errors
    ///
    /// Returns an error if the key can be neither read nor kept.
    pub(super) fn open(folder: &Path) -> Result<(Device, Option<PathBuf>), DeviceError> {
        let path = folder.join(FILE);
        let bytes =
            read(&path).map_err(|source| DeviceError::Read { path: path.clone(), source })?;
        let Some(bytes) = bytes else { return Device::create(&path).map(|device| (device, None)) };
        if let Some(device) = Device::parse(&bytes) {
            return Ok((device, None));
        }
        let aside =
            set_aside(&path).map_err(|source| DeviceError::Keep { path: path.clone(), source })?;
        Device::create(&path).map(|device| (device, Some(aside)))
    }

    /// Reads the key in `folder`; `None` if there is none, or none that can be read.
    pub(super) fn kept(folder: &Path) -> Option<Device> {
        read(&folder.join(FILE)).ok()?.as_deref().and_then(Device::parse)
    }

    /// Makes a key that is kept nowhere.
    ///
    /// # Errors
    ///
    /// Returns an error if the system gives no random numbers.
    pub(super) fn ephemeral() -> Result<Device, DeviceError> {
        let mut seed = [0; 32];
        fill(&mut seed).map_err(|_| DeviceError::Random)?;
        Ok(Device { key: SigningKey::from_bytes(&seed) })
    }

    fn create(path: &Path) -> Result<Device, DeviceError> {
        let device = Device::ephemeral()?;
        let stored = Stored { schema: SCHEMA.to_owned(), secret_key: hex(&device.key.to_bytes()) };
        let keep = || -> io::Result<()> {
            let bytes = serde_json::to_vec(&stored).map_err(io::Error::other)?;
            write(path, &bytes)
        };
        keep().map_err(|source| DeviceError::Keep { path: path.to_owned(), source })?;
        Ok(device)
    }

    fn parse(bytes: &[u8]) -> Option<Device> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        let seed = from_hex(&stored.secret_key).filter(|_| stored.schema == SCHEMA)?;
        Some(Device { key: SigningKey::from_bytes(&seed) })
    }

    /// Returns `hex(sha256(public key))`.
    #[must_use]
    pub(super) fn id(&self) -> String {
        hex(&Sha256::digest(self.key.verifying_key().as_bytes()))
    }

    /// Returns the raw public key, in the gateway's spelling.
    #[must_use]
    pub(super) fn public_key(&self) -> String {
        base64url(self.key.verifying_key().as_bytes())
    }

    /// Returns the signature of `text`, in the gateway's spelling.
    #[must_use]
    pub(super) fn sign(&self, text: &str) -> String {
        base64url(&self.key.sign(text.as_bytes()).to_bytes())
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(bytes)
}

/// Reads a small regular file of ours; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a file that must not be there yet, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = folder.join(format!(".{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(&made)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    renameat_with(CWD, &made, CWD, path, RenameFlags::NOREPLACE)?;
    File::open(folder)?.sync_all()
}

/// Moves a file that is no key to the first free name beside it.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..100 {
        let aside = path.with_file_name(format!("{FILE}.corrupt-{number}"));
        match renameat_with(CWD, path, CWD, &aside, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(aside),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many of them were set aside"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use ed25519_dalek::Verifier as _;

    use super::*;

    #[test]
    fn the_same_key_is_read_back_and_only_its_owner_can() {
        let folder = tempfile::tempdir().unwrap();
        let (first, aside) = Device::open(folder.path()).unwrap();
        assert_eq!(aside, None);
        let (second, _) = Device::open(folder.path()).unwrap();
        assert_eq!(first.id(), second.id());
        assert_eq!(first.public_key().len(), 43);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_signature_is_of_the_text_by_the_key() {
        let device = Device::ephemeral().unwrap();
        let signature = device.key.sign(b"v3|a");
        assert_eq!(device.sign("v3|a"), base64url(&signature.to_bytes()));
        assert!(device.key.verifying_key().verify(b"v3|a", &signature).is_ok());
    }

    #[test]
    fn what_is_no_key_is_set_aside_and_never_overwritten() {
        for text in ["", "{", "{}", r#"{"schema":"clawarden.device/v1","secret_key":"zz"}"#] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("device.json.corrupt-1"), "earlier").unwrap();
            fs::write(folder.path().join(FILE), text).unwrap();
            let (_, aside) = Device::open(folder.path()).unwrap();
            let aside = aside.unwrap();
            assert!(aside.ends_with("device.json.corrupt-2"), "{aside:?}");
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
            assert!(Device::open(folder.path()).unwrap().1.is_none());
        }
    }

    #[test]
    fn a_newer_writers_key_is_set_aside_too_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            format!(r#"{{"schema":"clawarden.device/v2","secret_key":"{}"}}"#, "0".repeat(64));
        fs::write(folder.path().join(FILE), &text).unwrap();
        let aside = Device::open(folder.path()).unwrap().1.unwrap();
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
    }

    #[test]
    fn a_link_is_not_followed_and_a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.path().join(FILE)).unwrap();
        assert!(matches!(Device::open(folder.path()), Err(DeviceError::Read { .. })));
        let missing = folder.path().join("none");
        assert!(matches!(Device::open(&missing), Err(DeviceError::Keep { .. })));
    }
}
