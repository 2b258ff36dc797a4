import { describe, expect, test } from 'vitest';
import { BETWEEN_TARGETS, readTarget } from './backup-target.ts';

describe('a backup target', () => {
  test('is a folder', () => {
    expect(readTarget('local=/var/backups')).toEqual({
      target: { kind: 'folder', name: 'local', folder: '/var/backups', keep: undefined },
    });
    expect(readTarget('nas=/mnt/what?ever?keep=daily:2,last:1')).toEqual({
      target: { kind: 'folder', name: 'nas', folder: '/mnt/what?ever', keep: { daily: 2, last: 1 } },
    });
  });

  test('is a bucket with all that can be said of it', () => {
    const text =
      's3=s3://bucket/a/b/?region=eu-west-1&endpoint=https://s3.example:9000&path_style=true&storage_class=GLACIER_IR&lock=compliance:90d&part_size=64MiB&keep=monthly:12';
    expect(readTarget(text)).toEqual({
      target: {
        kind: 's3',
        name: 's3',
        bucket: 'bucket',
        prefix: 'a/b/',
        region: 'eu-west-1',
        endpoint: 'https://s3.example:9000',
        pathStyle: true,
        storageClass: 'GLACIER_IR',
        lock: { mode: 'compliance', retention: 90 * 86_400_000 },
        partSize: 64 * 1024 * 1024,
        keep: { monthly: 12 },
      },
    });
    expect(readTarget('s3=s3://bucket')).toMatchObject({ target: { prefix: '', region: 'us-east-1' } });
  });

  test.each([
    ['/var/backups', /is not name=/],
    ['Local=/var/backups', /is not name=/],
    ['a=~/backups', /names no folder/],
    ['a=s3://', /has no bucket/],
    ['a=gs://bucket', /is neither a folder nor s3:/],
    ['a=S3://bucket', /is neither a folder nor s3:/],
    ['a=s3://b?lock=governance', /has a lock that is not/],
    ['a=s3://b?lock=legal:30d', /has a lock that is not/],
    ['a=s3://b?Lock=governance:30d', /"Lock", which is none of/],
    ['a=s3://b?region=a&region=b', /has region twice/],
    ['a=s3://b?keep=daily:0', /would keep nothing/],
    ['a=/x?keep=dayly:3', /has a keep that is not/],
    ['a=/x?kep=daily:3', /behind its "\?"/],
    ['a=s3://b/%E0%A4%A', /a prefix with a "%"/],
    ['a=s3://b?part_size=1MiB', /has a part_size/],
    ['a=s3://b?endpoint=ftp://x', /has an endpoint/],
    ['a=s3://b?storage_class=DEEP_ARCHIVE', /answers after hours/],
  ])('%s is refused', (text, problem) => {
    expect(readTarget(text)).toEqual({ problem: expect.stringMatching(problem) });
  });

  test('with a password in its endpoint is refused, and not repeated', () => {
    const { problem } = readTarget('a=s3://b?endpoint=http://u:secret@h:9000') as { problem: string };
    expect(problem).toMatch(/endpoint with a user or a password; credentials come from/);
    expect(problem).not.toContain('secret');
  });

  test('in a list of them a comma within one does not end it', () => {
    const text = 'a=/x?keep=daily:7,weekly:4, b=s3://y?keep=last:1,daily:2,c=./z,d=gs://w';
    expect(text.split(BETWEEN_TARGETS).map((part) => part.trim())).toEqual([
      'a=/x?keep=daily:7,weekly:4',
      'b=s3://y?keep=last:1,daily:2',
      'c=./z',
      'd=gs://w',
    ]);
  });
});
