import { expect, test } from 'vitest';
import { mountOf, natureOf, parseMounts } from './mounts.ts';

const TABLE = String.raw`22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,relatime - proc proc rw
30 22 0:40 / /srv/my\040data rw shared:5 master:2 - nfs4 server:/data rw
31 22 0:41 / /var rw - xfs /dev/sdb rw
32 31 0:42 / /var/lib rw - tmpfs tmpfs rw
33 32 0:43 / /var/lib rw - btrfs /dev/sdc rw
not a mount
`;

test.each([
  ['/etc/authserver', '/', 'ext4'],
  ['/srv/my data/authserver.db', '/srv/my data', 'nfs4'],
  ['/srv/my database', '/', 'ext4'],
  ['/var/log', '/var', 'xfs'],
  ['/var', '/var', 'xfs'],
  // A later mount covers an earlier one at the same place.
  ['/var/lib/authserver', '/var/lib', 'btrfs'],
])('%s lies on %s', (path, mountPoint, type) => {
  expect(mountOf(parseMounts(TABLE), path)).toEqual({ mountPoint, type });
});

test('without mounts nothing is known', () => {
  expect(parseMounts('')).toEqual([]);
  expect(mountOf([], '/etc')).toBeUndefined();
});

test.each([
  ['ext4', 'local'],
  ['fuseblk', 'local'],
  ['fuse.sshfs', 'network'],
  ['fuse.anything', 'userspace'],
  ['9p', 'network'],
  ['tmpfs', 'memory'],
  ['overlay', 'layered'],
])('%s is %s', (type, nature) => {
  expect(natureOf(type)).toBe(nature);
});
