//! The layouts that are read by hand, compared with those of libproc when this is compiled.

use std::mem::{offset_of, size_of};

use libproc::kinfo::KinfoProc;
use libproc::net_info::{ProcFileInfo, SocketFDInfo, TcpSockInfo, UnSockInfo, VInfoStat};
use nix::libc::{proc_vnodepathinfo, vnode_info_path};

use super::super::darwin::{descriptor, socket};

const _: () = {
    assert!(size_of::<SocketFDInfo>() == socket::BYTES);
    assert!(offset_of!(SocketFDInfo, psi.soi_so) == socket::AT_HANDLE);
    assert!(offset_of!(SocketFDInfo, psi.soi_type) == socket::AT_TYPE);
    assert!(offset_of!(SocketFDInfo, psi.soi_options) == socket::AT_OPTIONS);
    assert!(offset_of!(SocketFDInfo, psi.soi_state) == socket::AT_STATE);
    assert!(offset_of!(SocketFDInfo, psi.soi_kind) == socket::AT_KIND);
    let proto = offset_of!(SocketFDInfo, psi.soi_proto);
    assert!(proto == socket::AT_PROTO);
    assert!(proto + offset_of!(TcpSockInfo, tcpsi_ini.insi_lport) == socket::AT_TCP_PORT);
    assert!(proto + offset_of!(TcpSockInfo, tcpsi_state) == socket::AT_TCP_STATE);
    assert!(proto + offset_of!(UnSockInfo, unsi_conn_so) == socket::AT_UNIX_SOCKET);
    assert!(proto + offset_of!(UnSockInfo, unsi_conn_pcb) == socket::AT_UNIX_PCB);
};

// `struct pipe_info` is the stat, two handles and two ints.
const _: () = {
    let handle = size_of::<ProcFileInfo>() + size_of::<VInfoStat>();
    assert!(handle == descriptor::AT_PIPE);
    assert!(handle + 8 == descriptor::AT_PIPE_PEER);
    assert!(handle + 24 == descriptor::PIPE_BYTES);
};

const _: () = {
    let file = size_of::<ProcFileInfo>();
    assert!(file + size_of::<vnode_info_path>() == descriptor::FILE_BYTES);
    assert!(file + offset_of!(vnode_info_path, vip_vi.vi_type) == descriptor::AT_FILE_TYPE);
    assert!(file + offset_of!(vnode_info_path, vip_path) == descriptor::AT_FILE_PATH);
    assert!(size_of::<proc_vnodepathinfo>() == descriptor::FOLDERS_BYTES);
    let device = offset_of!(proc_vnodepathinfo, pvi_cdir.vip_vi.vi_stat.vst_dev);
    assert!(device == descriptor::AT_FOLDER_DEVICE);
    assert!(offset_of!(proc_vnodepathinfo, pvi_cdir.vip_path) == descriptor::AT_FOLDER_PATH);
};

// libproc wrote this one itself. These are the numbers of the kernel's own header, as Go has them.
const _: () = {
    assert!(size_of::<KinfoProc>() == 0x288);
    assert!(offset_of!(KinfoProc, kp_proc.p_un) == 0);
    assert!(offset_of!(KinfoProc, kp_proc.p_flag) == 0x20);
    assert!(offset_of!(KinfoProc, kp_proc.p_stat) == 0x24);
    assert!(offset_of!(KinfoProc, kp_proc.p_pid) == 0x28);
    assert!(offset_of!(KinfoProc, kp_proc.p_comm) == 0xf3);
    assert!(offset_of!(KinfoProc, kp_eproc.e_ucred.cr_uid) == 0x1a4);
    assert!(offset_of!(KinfoProc, kp_eproc.e_ppid) == 0x230);
    assert!(offset_of!(KinfoProc, kp_eproc.e_pgid) == 0x234);
    assert!(offset_of!(KinfoProc, kp_eproc.e_tdev) == 0x23c);
};
