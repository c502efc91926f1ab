//! Owner, mode and extended attributes of a file, carried over to its successor.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

/// Longest list of names, and longest value, that the kernel allows.
const XATTR_BYTES_MAX: usize = 64 << 10;

/// Gives `to` the group, mode and extended attributes of `from`; both have the same owner.
pub(super) fn carry_over(from: &File, to: &File) -> io::Result<()> {
    let meta = from.metadata()?;
    if to.metadata()?.gid() != meta.gid() {
        std::os::unix::fs::fchown(to, None, Some(meta.gid()))?;
    }
    extended(from, to)?;
    // Last: an access list may have widened the mode, and chown may have narrowed it.
    to.set_permissions(std::fs::Permissions::from_mode(meta.mode() & 0o7777))
}

fn extended(from: &File, to: &File) -> io::Result<()> {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let length = match flistxattr(from.as_fd(), &mut names) {
        Ok(length) => length,
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0; XATTR_BYTES_MAX];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let size = fgetxattr(from.as_fd(), name, &mut value)?;
        // A new file may have got the same label from its folder, and may not be relabelled.
        let mut present = vec![0; XATTR_BYTES_MAX];
        let same = fgetxattr(to.as_fd(), name, &mut present)
            .is_ok_and(|there| present[..there] == value[..size]);
        if !same {
            fsetxattr(to.as_fd(), name, &value[..size], XattrFlags::empty())?;
        }
    }
    Ok(())
}
