/**
 * Fills a folder of distfiles: what is there and good stays, all else is taken from mirrors and from the places that the lists of sources
 * name, several at a time. No place is trusted: a file gets its name when its SHA-256 is right, and until then the next place is asked.
 */
import { setMaxListeners } from "node:events";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job, Step } from "../contract/job.ts";
import { takeFolderTurn } from "../host/folder-turn.ts";
import { makeFolders } from "../host/make-folders.ts";
import { checkName, chunksOf, type DistfileFinding, inspectDistfiles } from "./distfiles.ts";
import { openInFolder } from "./file-mirror.ts";
import { HttpClient, type HttpOptions, type HttpResponse, PlaceProblem } from "./http-get.ts";
import { type Mirror, type Place, placesOf, placeText, urlText } from "./mirror-list.ts";
import { adoptOrphans, forgetPartial, PartialFile } from "./partial-file.ts";
import { spaceHint } from "./payload/space-hint.ts";
import type { Distfile } from "./source-list.ts";

export interface FetchOptions extends HttpOptions {
  readonly mirrors: readonly Mirror[];
  /** Another folder of distfiles on this computer, tried before all mirrors. */
  readonly cache?: string | undefined;
  /** Numbers from 0 to below 1 that shuffle the mirrors for each file; without it they are tried as given. */
  readonly random?: (() => number) | undefined;
  /** Files at a time. */
  readonly jobs: number;
  /** A file that grows beyond this is given up. */
  readonly bytesMax: number;
}

/** What a payload container can carry of one file, less a byte; the largest source of the real bootstrap has some 150 MB. */
const BYTES_MAX = 2 ** 32 - 1;

export const FETCH_DEFAULTS = {
  jobs: 4,
  perHost: 2,
  bytesMax: BYTES_MAX,
  /** As long as the original waits; 1 KiB a second is less than a modem. */
  patience: { windowMs: 20_000, bytesMin: 20 * 1024 },
} as const;

export interface FetchedFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** The place that gave it. */
  readonly from: string;
  /** It stands where a damaged file was. */
  readonly replaced: boolean;
}

export interface FailedPlace {
  readonly place: string;
  readonly problem: string;
}

export interface FailedFile {
  readonly name: string;
  readonly sha256: string;
  readonly wantedBy: readonly string[];
  /** In the order in which they were tried. */
  readonly places: readonly FailedPlace[];
}

export interface FetchSummary {
  readonly folder: string;
  /** Were there and good. */
  readonly present: readonly string[];
  /** In the order of the list. */
  readonly fetched: readonly FetchedFile[];
  readonly failed: readonly FailedFile[];
}

/**
 * Brings `distfiles` into `folder`, which is made where it is missing. A file that no place gives is in `failed` and stops nothing; throws
 * where the folder cannot be written, the disk is full, or `job` is cancelled. What was begun then is kept and gone on with next time.
 */
export async function fetchDistfiles(
  folder: string,
  distfiles: readonly Distfile[],
  options: FetchOptions,
  job: Job,
): Promise<FetchSummary> {
  for (const { name } of distfiles) checkName(name);
  await makeFolders(folder).catch((error: unknown) => {
    throw new HiperisoError({
      what: "make the folder of distfiles",
      where: folder,
      found: reasonOf(error),
      hint: spaceHint(error),
      cause: error,
    });
  });
  await using _turn = await takeFolderTurn(folder, "distfiles", job.signal, () =>
    job.progress.say(`Another hiperiso downloads into ${folder}: waiting until it has ended.`),
  );
  await adoptOrphans(folder);
  const findings = await inspectDistfiles(folder, distfiles, job);
  const present = findings.filter(({ state }) => state === "good");
  for (const { sha256 } of present) await forgetPartial(folder, sha256);
  const wanted = distfiles.flatMap((distfile, index): Wanted[] => {
    const finding = findings[index]!;
    if (finding.state === "good") return [];
    if (finding.state === "damaged") job.progress.warn(damagedText(finding));
    return [{ distfile, isDamaged: finding.state === "damaged" }];
  });
  const ends = wanted.length === 0 ? [] : await new Fetching(folder, options, job, wanted.length).run(wanted);
  return {
    folder,
    present: present.map(({ name }) => name),
    fetched: ends.flatMap((end) => ("from" in end ? [end] : [])),
    failed: ends.flatMap((end) => ("places" in end ? [end] : [])),
  };
}

const damagedText = ({ name, sha256, found }: DistfileFinding): string =>
  `${name} is not the file that is wanted and is fetched again: wanted ${sha256}, found ${found}`;

/** One error for all that is missing; undefined where nothing is. */
export function missingDistfiles({ folder, failed }: Pick<FetchSummary, "folder" | "failed">): HiperisoError | undefined {
  if (failed.length === 0) return undefined;
  const lines = failed.flatMap(({ name, places, wantedBy }) => [
    `${name} (for ${wantedBy.join(", ")})`,
    ...(places.length === 0
      ? ["  there is no place to get it from: only a mirror has it"]
      : places.map(({ place, problem }) => `  ${place}: ${problem}`)),
  ]);
  return new HiperisoError({
    what: failed.length === 1 ? "fetch a distfile" : `fetch ${failed.length} distfiles`,
    where: folder,
    found: `\n${lines.join("\n")}`,
    hint: "Name another mirror with --mirrors, or put the files there yourself; what has been fetched is kept.",
  });
}

interface Wanted {
  readonly distfile: Distfile;
  readonly isDamaged: boolean;
}

/** After so many tries without an answer a host is left out for the rest of the run: each would cost its whole patience again. */
const SILENCES_MAX = 3;
/** Times that a broken connection is gone on with at the same place, each after at least one byte. */
const RESUMES_MAX = 5;

class Fetching {
  readonly #folder: string;
  readonly #options: FetchOptions;
  readonly #job: Job;
  readonly #total: number;
  /** The person's, and ours where this computer cannot go on. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** Tries in a row that a host left without an answer. */
  readonly #silences = new Map<string, number>();
  #ended = 0;

  constructor(folder: string, options: FetchOptions, job: Job, total: number) {
    [this.#folder, this.#options, this.#job, this.#total] = [folder, options, job, total];
    this.#signal = AbortSignal.any([job.signal, this.#stop.signal]);
    // One for each file that waits for its host; Node would take more than ten for a leak.
    setMaxListeners(0, this.#signal);
  }

  async run(wanted: readonly Wanted[]): Promise<readonly (FetchedFile | FailedFile)[]> {
    await using client = new HttpClient(this.#options);
    const step = this.#job.progress.begin(`download ${wanted.length} file${wanted.length === 1 ? "" : "s"}`);
    const ends: (FetchedFile | FailedFile)[] = [];
    const queue = wanted.entries();
    const work = async (): Promise<void> => {
      for (const [index, item] of queue) {
        ends[index] = await this.#fetch(item, client, step);
      }
    };
    try {
      const workers = Array.from({ length: Math.min(this.#options.jobs, wanted.length) }, () =>
        work().catch((error: unknown) => {
          this.#stop.abort(error);
          throw error;
        }),
      );
      // All have to end, so that none writes into the folder when its turn is over.
      await Promise.allSettled(workers);
      this.#signal.throwIfAborted();
    } finally {
      step.end();
    }
    return ends;
  }

  async #fetch({ distfile, isDamaged }: Wanted, client: HttpClient, step: Step): Promise<FetchedFile | FailedFile> {
    this.#signal.throwIfAborted();
    const { name, sha256, wantedBy } = distfile;
    const open = (): Promise<PartialFile> => PartialFile.open(this.#folder, sha256, this.#signal);
    await using download = new Download(distfile, await open(), {
      open,
      client,
      bytesMax: this.#options.bytesMax,
      signal: this.#signal,
      step,
    });
    const failed: FailedPlace[] = [];
    const { cache, mirrors, random } = this.#options;
    const near: readonly Place[] = cache === undefined ? [] : [{ kind: "folder", folder: cache }];
    const places = [...near, ...placesOf(distfile, mirrors, random)];
    // Killed between the last byte and the name.
    const isWhole = download.partial.sizeBytes > 0 && download.partial.sum() === sha256;
    for (const place of isWhole ? [undefined] : places) {
      try {
        if (place !== undefined) await this.#take(place, download);
        const { sizeBytes } = download.partial;
        await download.partial.commit(name);
        this.#ended += 1;
        const from = place === undefined ? "an earlier download" : placeText(place);
        this.#job.progress.say(`${this.#ended} of ${this.#total}: ${name}, ${sizeBytes} bytes from ${from}`);
        return { name, sizeBytes, from, replaced: isDamaged };
      } catch (error) {
        if (!(error instanceof PlaceProblem) || place === undefined) throw error;
        failed.push({ place: placeText(place), problem: error.message });
        // That a mirror lacks a file is nothing strange; that it has another one is.
        if (error.kind === "content") this.#job.progress.warn(`${placeText(place)}: ${error.message}`);
      }
    }
    this.#ended += 1;
    this.#job.progress.warn(`${this.#ended} of ${this.#total}: ${name}: no place has it`);
    return { name, sha256, wantedBy, places: failed };
  }

  async #take(place: Place, download: Download): Promise<void> {
    if (place.kind === "folder") return download.fromFolder(place.folder);
    const host = URL.canParse(place.url) ? new URL(place.url).host : "";
    if ((this.#silences.get(host) ?? 0) >= SILENCES_MAX)
      throw new PlaceProblem("answer", `not asked: ${host} did not answer ${SILENCES_MAX} times in a row`);
    try {
      await download.fromUrl(place.url);
      this.#silences.delete(host);
    } catch (error) {
      const isSilent = error instanceof PlaceProblem && (error.kind === "slow" || (error.kind === "unreachable" && !download.gotBytes));
      if (isSilent) this.#silences.set(host, (this.#silences.get(host) ?? 0) + 1);
      else this.#silences.delete(host);
      throw error;
    }
  }
}

/** What servers answer that do not like the question for a part: 416 where they have no such bytes, the others where they know no Range. */
const NO_RANGE: ReadonlySet<number> = new Set([400, 416, 500, 501]);

interface DownloadMeans {
  /** Makes another file to write into. */
  readonly open: () => Promise<PartialFile>;
  readonly client: HttpClient;
  readonly bytesMax: number;
  readonly signal: AbortSignal;
  readonly step: Step;
}

/** One file on its way. Each way in ends with the right sum in `partial`, or throws `PlaceProblem`. */
class Download implements AsyncDisposable {
  readonly #distfile: Distfile;
  readonly #means: DownloadMeans;
  #partial: PartialFile;
  /** The last place sent something of the file. */
  gotBytes = false;

  constructor(distfile: Distfile, partial: PartialFile, means: DownloadMeans) {
    [this.#distfile, this.#partial, this.#means] = [distfile, partial, means];
  }

  get partial(): PartialFile {
    return this.#partial;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#partial[Symbol.asyncDispose]();
  }

  async fromFolder(folder: string): Promise<void> {
    this.gotBytes = false;
    await using file = await openInFolder(folder, this.#distfile.name);
    if (file === undefined) throw new PlaceProblem("answer", "no such file");
    await this.#partial.clear();
    try {
      for await (const chunk of chunksOf(file, this.#means.signal)) await this.#append(chunk);
    } catch (error) {
      if (error instanceof HiperisoError || error instanceof PlaceProblem || this.#means.signal.aborted) throw error;
      throw new PlaceProblem("unreachable", reasonOf(error));
    }
    await this.#check(undefined, "");
  }

  async fromUrl(url: string): Promise<void> {
    this.gotBytes = false;
    for (let resumes = 0; ; resumes += 1) {
      const before = this.#partial.sizeBytes;
      try {
        return await this.#request(url);
      } catch (error) {
        const goesOn = error instanceof PlaceProblem && error.kind === "unreachable" && this.#partial.sizeBytes > before;
        if (!goesOn || resumes === RESUMES_MAX) throw error;
      }
    }
  }

  async #request(url: string): Promise<void> {
    const from = this.#partial.sizeBytes;
    if (from > 0 && (await this.#goOn(url, from))) return;
    await using response = await this.#means.client.get(url, undefined, this.#means.signal);
    await this.#receive(url, response);
  }

  /** Asks for the rest alone. False: that did not work, and the file has to come whole. */
  async #goOn(url: string, from: number): Promise<boolean> {
    // The validator is the address' own; what comes from elsewhere is told by the sum.
    const ifRange = this.#partial.origin?.url === url ? this.#partial.origin.validator : undefined;
    await using response = await this.#means.client.get(url, { from, ifRange }, this.#means.signal);
    if (NO_RANGE.has(response.status)) return false;
    if (response.status !== 206) {
      await this.#receive(url, response);
      return true;
    }
    const total = rangeTotal(response.headers["content-range"], from);
    if (total === undefined || total > this.#means.bytesMax || isEncoded(response)) return false;
    await this.#copy(response);
    if (this.#partial.sum() === this.#distfile.sha256) return true;
    // Bytes of two different files, or the kept ones were damaged.
    await this.#partial.clear();
    return false;
  }

  async #receive(url: string, response: HttpResponse): Promise<void> {
    if (response.status !== 200) throw new PlaceProblem("answer", `${response.statusText}${behind(url, response)}`);
    const length = Number(response.headers["content-length"] ?? 0);
    if (length > this.#means.bytesMax) throw tooLarge(this.#means.bytesMax, `${length}`);
    await this.#partial.clear();
    const validator = validatorOf(response);
    // The rest of an encoded file cannot be put behind its first part by a server that does not encode.
    if (validator !== undefined && !isEncoded(response)) this.#partial.comesFrom({ url, validator });
    await this.#copy(response);
    await this.#check(response, behind(url, response));
  }

  async #copy(response: HttpResponse): Promise<void> {
    for await (const chunk of response.body) {
      this.gotBytes = true;
      await this.#append(chunk);
      this.#means.step.advance(chunk.length);
    }
  }

  async #append(chunk: Uint8Array): Promise<void> {
    if (this.#partial.sizeBytes + chunk.length > this.#means.bytesMax) {
      await this.#partial.clear();
      throw tooLarge(this.#means.bytesMax, "more");
    }
    await this.#partial.append(chunk);
  }

  async #check(response: HttpResponse | undefined, behindWhat: string): Promise<void> {
    const { sha256 } = this.#distfile;
    const found = this.#partial.sum();
    if (found === sha256) return;
    if (response !== undefined && /^(x-)?gzip$/i.test(response.headers["content-encoding"] ?? "") && (await this.#decoded())) return;
    const problem = wrongFile(this.#partial, sha256, found, response, behindWhat);
    await this.#partial.clear();
    throw problem;
  }

  /** A server that packs what it was asked to send as it is: the file is inside. */
  async #decoded(): Promise<boolean> {
    const packed = this.#partial;
    const unpacked = await this.#means.open();
    try {
      // Each chunk is copied: the reader fills the same memory again while this one still waits to be unpacked.
      const copies = async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) yield Uint8Array.from(chunk);
      };
      const { signal, bytesMax } = this.#means;
      await pipeline(packed.chunks(signal), copies, createGunzip(), async (chunks: AsyncIterable<Uint8Array>) => {
        for await (const chunk of chunks) {
          // A few bytes can unpack to terabytes.
          if (unpacked.sizeBytes + chunk.length > bytesMax) return;
          await unpacked.append(chunk);
        }
      });
    } catch (error) {
      if (error instanceof HiperisoError || this.#means.signal.aborted) {
        await dropped(unpacked);
        throw error;
      }
      // Not gzip, whatever its header said.
    }
    if (unpacked.sum() !== this.#distfile.sha256) {
      await dropped(unpacked);
      return false;
    }
    this.#partial = unpacked;
    await dropped(packed);
    return true;
  }
}

async function dropped(partial: PartialFile): Promise<void> {
  partial.discard();
  await partial[Symbol.asyncDispose]();
}

/** The whole file's size from `bytes FROM-LAST/TOTAL` (RFC 9110, 14.4); undefined unless it begins at `from` and goes on to the end. */
function rangeTotal(header: string | undefined, from: number): number | undefined {
  const [, first, last, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header ?? "") ?? [];
  return Number(first) === from && Number(last) === Number(total) - 1 && Number(last) >= from ? Number(total) : undefined;
}

const isEncoded = ({ headers }: HttpResponse): boolean => !/^(identity)?$/i.test(headers["content-encoding"] ?? "");

/** For If-Range only strong ETags and dates are valid (RFC 9110, 13.1.5). */
function validatorOf({ headers }: HttpResponse): string | undefined {
  return headers.etag?.startsWith('"') === true ? headers.etag : headers["last-modified"];
}

/** Where redirects led, for messages. */
const behind = (asked: string, { url }: HttpResponse): string => (url === urlText(asked) ? "" : ` (redirected to ${url})`);

const tooLarge = (bytesMax: number, found: string): PlaceProblem =>
  new PlaceProblem("content", `more than the ${bytesMax} bytes that a distfile may have: ${found}`);

function wrongFile(
  { head, sizeBytes }: PartialFile,
  wanted: string,
  found: string,
  response: HttpResponse | undefined,
  behindWhat: string,
): PlaceProblem {
  const page = htmlPage(head);
  const what = sizeBytes === 0 ? "an empty file" : page === undefined ? "the checksum is wrong" : `an HTML page${page} instead of the file`;
  const encoding = response !== undefined && isEncoded(response) ? `, sent as ${response.headers["content-encoding"]} unasked` : "";
  return new PlaceProblem("content", `${what}: wanted ${wanted}, found ${found}${encoding}${behindWhat}`);
}

const TITLE_MAX = 80;

/** Undefined where it is none; else its title, with a blank before it, where it has one. */
function htmlPage(head: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(head);
  if (!/^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title)\b/is.test(text)) return undefined;
  const title = /<title[^>]*>([^<]*)/i.exec(text)?.[1]?.replace(/\s+/g, " ").trim() ?? "";
  return title === "" ? "" : ` (${title.slice(0, TITLE_MAX)})`;
}
