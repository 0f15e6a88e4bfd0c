/**
 * One line of the journal: crc32 of the rest as 8 hex digits, a space, JSON, a newline.
 *
 * A header opens each journal; the records after it are chained by the previous line's crc. The batch, and a record's
 * place in it, tell a torn tail (the last batch was not synced: cut it) from damage (a later batch was written, so this
 * one was durable once).
 */
import { crc32 } from 'node:zlib';
import type { Mutation } from './schema.ts';

export interface Header {
  kind: 'header';
  /** Format of the journal. */
  format: number;
  schema: number;
  number: number;
  epoch: number;
  /** Sequence number of the first record to come; a stray record of an older owner has this or a later one. */
  firstSeq: number;
}

export interface JournalRecord {
  kind: 'record';
  seq: number;
  batch: number;
  /** Place in the batch, from 0, and how many records the batch has. */
  index: number;
  count: number;
  mutations: Mutation[];
  /** Rows changed by all mutations together. */
  changes: number;
}

export interface Line<T> {
  value: T;
  crc: string;
  previous: string;
  /** Offset of the byte after the line. */
  end: number;
}

export const journalFormat = 1;
export const chainStart = '00000000';

const hex = (value: number): string => value.toString(16).padStart(8, '0');

function encode(value: unknown): { line: string; crc: string } {
  const json = JSON.stringify(value);
  const crc = hex(crc32(json));
  return { line: `${crc} ${json}\n`, crc };
}

export function encodeHeader(header: Omit<Header, 'kind'>, previous: string): { line: string; crc: string } {
  return encode(['h', previous, header.format, header.schema, header.number, header.epoch, header.firstSeq]);
}

export function encodeRecord(record: Omit<JournalRecord, 'kind'>, previous: string): { line: string; crc: string } {
  return encode([record.seq, previous, record.batch, record.index, record.count, record.changes, record.mutations]);
}

/** Reads the line that starts at `offset`; undefined when it is not whole and sound. */
export function decodeLine(data: Buffer, offset: number): Line<Header | JournalRecord> | undefined {
  const newline = data.indexOf(10, offset);
  if (newline < 0 || newline - offset < 12 || data[offset + 8] !== 32) return undefined;
  const crc = data.toString('latin1', offset, offset + 8);
  const body = data.subarray(offset + 9, newline);
  if (hex(crc32(body)) !== crc) return undefined;
  let parts: unknown;
  try {
    parts = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!Array.isArray(parts)) return undefined;
  const end = newline + 1;
  if (parts[0] === 'h') {
    const [, previous, format, schema, number, epoch, firstSeq] = parts as [
      string,
      string,
      number,
      number,
      number,
      number,
      number,
    ];
    return { value: { kind: 'header', format, schema, number, epoch, firstSeq }, crc, previous, end };
  }
  const [seq, previous, batch, index, count, changes, mutations] = parts as [
    number,
    string,
    number,
    number,
    number,
    number,
    Mutation[],
  ];
  return { value: { kind: 'record', seq, batch, index, count, changes, mutations }, crc, previous, end };
}

/** Offset of the next line that might start after `offset`, or undefined at the end of what was written. */
export function nextLineStart(data: Buffer, offset: number): number | undefined {
  const newline = data.indexOf(10, offset);
  return newline < 0 || newline + 1 >= data.length ? undefined : newline + 1;
}
