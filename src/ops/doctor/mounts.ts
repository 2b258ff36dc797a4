/** The file systems of Linux, from /proc/self/mountinfo (proc_pid_mountinfo(5)). */

export interface Mount {
  readonly mountPoint: string;
  /** `ext4`, `nfs4`, `fuse.sshfs` */
  readonly type: string;
}

/** In the order of the file, in which a later mount covers an earlier one at the same place. */
export function parseMounts(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    // Optional fields come before the dash: how many there are is not fixed.
    const [before = '', after = ''] = line.split(' - ', 2);
    const mountPoint = before.split(' ')[4];
    const type = after.split(' ')[0];
    return mountPoint && type ? [{ mountPoint: unescaped(mountPoint), type }] : [];
  });
}

/** The mount that an absolute path without symbolic links lies on. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    const inside =
      mount.mountPoint === '/' || path === mount.mountPoint || path.startsWith(`${mount.mountPoint}/`);
    if (inside && mount.mountPoint.length >= (best?.mountPoint.length ?? 0)) best = mount;
  }
  return best;
}

/** Spaces, tabs, line breaks and backslashes are written as octal numbers. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

const MEMORY = new Set(['tmpfs', 'ramfs', 'devtmpfs']);
const LAYERED = new Set(['overlay', 'aufs']);
const NETWORK = new Set([
  '9p',
  'afs',
  'beegfs',
  'ceph',
  'cifs',
  'fuse.cephfs',
  'fuse.glusterfs',
  'fuse.rclone',
  'fuse.s3fs',
  'fuse.sshfs',
  'glusterfs',
  'lustre',
  'ncpfs',
  'nfs',
  'nfs4',
  'smb2',
  'smb3',
  'smbfs',
  'virtiofs',
]);

export type Nature = 'memory' | 'network' | 'layered' | 'userspace' | 'local';

/** What kind of file system it is; one in user space that nobody has named may be anything. */
export function natureOf(type: string): Nature {
  if (MEMORY.has(type)) return 'memory';
  if (NETWORK.has(type)) return 'network';
  if (LAYERED.has(type)) return 'layered';
  return type === 'fuse' || type.startsWith('fuse.') ? 'userspace' : 'local';
}
