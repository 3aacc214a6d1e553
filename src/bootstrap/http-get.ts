/**
 * One GET from a server that is not trusted: redirects are followed by hand, each wait has a limit, and the bytes come as the server sent
 * them (RFC 9110, RFC 9112). Node's fetch would undo a Content-Encoding that nobody asked for, and with it the checksum of a .tar.gz.
 */
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { isIP, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { reasonOf } from "../contract/error.ts";
import type { ProxyChoice } from "../host/proxy.ts";
import { urlText } from "./mirror-list.ts";

/**
 * `unreachable`: no connection, or one that broke. `slow`: no answer, or too few bytes, for too long. `answer`: a status that brings no file, or redirects that lead nowhere.
 * `content`: a file came and it is not the right one. `address`: nothing that can be asked.
 */
export type PlaceProblemKind = "unreachable" | "slow" | "answer" | "content" | "address";

/** Why one place did not give the file. Never leaves this part of the program: the next place is tried. */
export class PlaceProblem extends Error {
  readonly kind: PlaceProblemKind;

  constructor(kind: PlaceProblemKind, message: string) {
    super(message);
    this.name = "PlaceProblem";
    this.kind = kind;
  }
}

/** A server that gives fewer than `bytesMin` bytes in `windowMs` milliseconds is given up, one that does not answer in that time too. */
export interface Patience {
  readonly windowMs: number;
  readonly bytesMin: number;
}

export interface HttpOptions {
  readonly patience: Patience;
  /** Requests that one host has open at a time. */
  readonly perHost: number;
  readonly userAgent: string;
  readonly proxy?: ProxyChoice | undefined;
}

export interface RangeRequest {
  /** First byte wanted. */
  readonly from: number;
  /** ETag or date of the file that the first bytes were taken from: where it has changed since, the server sends it whole. */
  readonly ifRange?: string | undefined;
}

export interface HttpResponse extends AsyncDisposable {
  /** The last one, behind all redirects. */
  readonly url: string;
  readonly status: number;
  /** "404 Not Found". */
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  /** To be read once. Throws `PlaceProblem` where it ends early or stops. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** As many as curl and browsers take, within a factor of two. */
const REDIRECTS_MAX = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Connections, and who may use how many of them. Disposing of it closes all. */
export class HttpClient implements AsyncDisposable {
  readonly #options: HttpOptions;
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https = new HttpsAgent({ keepAlive: true });
  readonly #turns = new Map<string, { active: number; readonly waiting: (() => void)[] }>();

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.destroy();
    this.#https.destroy();
  }

  /** Throws `PlaceProblem`, and the signal's reason. Any status but a redirect is an answer. */
  async get(url: string, range: RangeRequest | undefined, signal: AbortSignal): Promise<HttpResponse> {
    let at = checkedUrl(url, "");
    const seen = new Set<string>();
    for (;;) {
      const address = at.href.replace(/#.*$/s, "");
      if (seen.has(address)) throw new PlaceProblem("answer", `redirects in a circle, back to ${urlText(address)}`);
      if (seen.size > REDIRECTS_MAX)
        throw new PlaceProblem("answer", `more than ${REDIRECTS_MAX} redirects, the last to ${urlText(address)}`);
      seen.add(address);
      const response = await this.#ask(at, range, signal);
      if (!REDIRECTS.has(response.status)) return response;
      // The turn at this host ends here: two that redirect to each other's host would wait for ever.
      await response[Symbol.asyncDispose]();
      const next = checkedUrl(response.headers.location, address);
      // Name and password belong to the host that they were given for.
      if (next.username === "" && next.origin === at.origin) [next.username, next.password] = [at.username, at.password];
      at = next;
    }
  }

  async #ask(url: URL, range: RangeRequest | undefined, signal: AbortSignal): Promise<HttpResponse> {
    const release = await this.#turnAt(url.host, signal);
    const watch = new Watch(this.#options.patience, signal);
    let request: ClientRequest | undefined;
    try {
      request = await this.#request(url, watch.signal, {
        accept: "*/*",
        "accept-encoding": "identity",
        "user-agent": this.#options.userAgent,
        ...(range === undefined ? {} : { range: `bytes=${range.from}-` }),
        ...(range?.ifRange === undefined ? {} : { "if-range": range.ifRange }),
      });
      const message = await answerOf(request);
      const arrivals = new Arrivals(message);
      watch.answered();
      const dispose = async (): Promise<void> => {
        watch.end();
        message.destroy();
        release();
      };
      return {
        url: urlText(url.href),
        status: message.statusCode ?? 0,
        statusText: `${message.statusCode ?? 0} ${message.statusMessage ?? ""}`.trim(),
        headers: message.headers,
        body: arrivals.read(watch),
        [Symbol.asyncDispose]: dispose,
      };
    } catch (error) {
      watch.end();
      request?.destroy();
      release();
      throw watch.problemOf(error);
    }
  }

  async #request(url: URL, signal: AbortSignal, headers: Readonly<Record<string, string>>): Promise<ClientRequest> {
    const proxy = this.#options.proxy?.(url);
    if (url.protocol === "https:") {
      if (proxy === undefined) return httpsRequest(url, { agent: this.#https, signal, headers });
      const socket = await tunnel(proxy, url, signal);
      // An address has no name that TLS could ask for (RFC 6066, 3).
      const name = url.hostname.replace(/^\[|\]$/g, "");
      const secure = tlsConnect({ socket, host: name, ...(isIP(name) === 0 ? { servername: name } : {}) });
      // With any agent it would make a connection of its own.
      return httpsRequest(url, { createConnection: () => secure, signal, headers });
    }
    if (proxy === undefined) return httpRequest(url, { agent: this.#http, signal, headers });
    const { href } = withoutLogin(url);
    const more = { host: url.host, ...login("authorization", url), ...login("proxy-authorization", proxy) };
    return httpRequest(withoutLogin(proxy), {
      agent: this.#http,
      signal,
      path: href.replace(/#.*$/s, ""),
      headers: { ...headers, ...more },
    });
  }

  async #turnAt(host: string, signal: AbortSignal): Promise<() => void> {
    const turns = this.#turns.get(host) ?? { active: 0, waiting: [] };
    this.#turns.set(host, turns);
    if (turns.active < this.#options.perHost) turns.active += 1;
    else await handedOn(turns.waiting, signal);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const next = turns.waiting.shift();
      // Handed on, the turn stays counted.
      if (next === undefined) turns.active -= 1;
      else next();
    };
  }
}

/** A connection through the proxy to where `url` is (RFC 9110, 9.3.6). */
function tunnel(proxy: URL, url: URL, signal: AbortSignal): Promise<Socket> {
  const authority = `${url.hostname}:${url.port === "" ? 443 : url.port}`;
  return new Promise((resolve, reject) => {
    const headers = { host: authority, ...login("proxy-authorization", proxy) };
    const request = httpRequest(withoutLogin(proxy), { method: "CONNECT", path: authority, agent: false, signal, headers });
    request.once("connect", ({ statusCode, statusMessage }: IncomingMessage, socket: Socket) => {
      if (statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new PlaceProblem("unreachable", `the proxy ${proxy.host} answers ${statusCode} ${statusMessage}`));
    });
    request.on("error", (error) => reject(new PlaceProblem("unreachable", `the proxy ${proxy.host}: ${networkReason(error)}`)));
    request.end();
  });
}

function withoutLogin(url: URL): URL {
  const copy = new URL(url);
  [copy.username, copy.password] = ["", ""];
  return copy;
}

function login(header: string, { username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {};
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { [header]: `Basic ${Buffer.from(text).toString("base64")}` };
}

function handedOn(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const turn = (): void => {
      signal.removeEventListener("abort", abort);
      resolve();
    };
    const abort = (): void => {
      waiting.splice(waiting.indexOf(turn), 1);
      reject(signal.reason as Error);
    };
    if (signal.aborted) return reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    waiting.push(turn);
  });
}

function checkedUrl(text: string | undefined, base: string): URL {
  if (text === undefined) throw new PlaceProblem("answer", "a redirect that does not say where to");
  const url = base === "" ? tryUrl(text) : tryUrl(text, base);
  if (url === undefined) throw new PlaceProblem(base === "" ? "address" : "answer", `${base === "" ? "" : "redirects to "}no URL: ${text}`);
  if (url.protocol === "http:" || url.protocol === "https:") return url;
  throw base === ""
    ? new PlaceProblem("address", `not http or https, but ${url.protocol.slice(0, -1)}`)
    : new PlaceProblem("answer", `redirects to ${url.protocol.slice(0, -1)}, which is not followed: ${urlText(url.href)}`);
}

const tryUrl = (text: string, base?: string): URL | undefined => (URL.canParse(text, base) ? new URL(text, base) : undefined);

function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    // Stays: an error behind the answer comes through the body too, and one without a listener would end the program.
    request.on("error", reject);
    request.end();
  });
}

/** As much as waits in memory while the disk is slow. */
const WAITING_BYTES_MAX = 1 << 20;

/**
 * The bytes of an answer, each of them: a stream that is iterated throws away what it holds when the connection breaks, and the next try
 * would have to ask for it again.
 */
class Arrivals {
  readonly #message: IncomingMessage;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #error: unknown;
  #ended = false;
  #wake = (): void => {};

  constructor(message: IncomingMessage) {
    this.#message = message;
    message.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      if (this.#bytes >= WAITING_BYTES_MAX) message.pause();
      this.#wake();
    });
    message.once("error", (error) => {
      this.#error = error;
    });
    // Follows the end and every error.
    message.once("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  async *read(watch: Watch): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#bytes -= chunk.length;
        watch.came(chunk.length);
        yield chunk;
        continue;
      }
      if (this.#ended) break;
      watch.waiting(true);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#message.resume();
      });
      watch.waiting(false);
    }
    if (this.#error !== undefined) throw watch.problemOf(this.#error);
    if (!this.#message.complete) throw watch.problemOf(new PlaceProblem("unreachable", EARLY_END));
  }
}

const EARLY_END = "the connection was closed in the middle of the file";

/** The person's signal and the limit on waiting, as one signal. */
class Watch {
  readonly signal: AbortSignal;
  readonly #outer: AbortSignal;
  readonly #patience: Patience;
  readonly #gaveUp = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #answered = false;
  #waiting = true;
  /** In this window. */
  #bytes = 0;

  constructor(patience: Patience, outer: AbortSignal) {
    this.#patience = patience;
    this.#outer = outer;
    this.signal = AbortSignal.any([outer, this.#gaveUp.signal]);
    this.#timer = setInterval(() => this.#windowEnds(), patience.windowMs);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  answered(): void {
    this.#answered = true;
    this.#waiting = false;
    // The file has a whole window of its own.
    this.#timer.refresh();
  }

  waiting(isWaiting: boolean): void {
    this.#waiting = isWaiting;
  }

  came(bytes: number): void {
    this.#bytes += bytes;
  }

  #windowEnds(): void {
    const { bytesMin, windowMs } = this.#patience;
    const seconds = `${windowMs / 1000} s`;
    // Where the disk is what is slow, the server is not to blame.
    const slow = this.#waiting && this.#bytes < bytesMin;
    if (slow && !this.#answered) this.#giveUp(`no answer in ${seconds}`);
    else if (slow) this.#giveUp(this.#bytes === 0 ? `nothing came for ${seconds}` : `only ${this.#bytes} bytes came in ${seconds}`);
    this.#bytes = 0;
  }

  #giveUp(message: string): void {
    this.end();
    this.#gaveUp.abort(new PlaceProblem("slow", message));
  }

  problemOf(error: unknown): unknown {
    if (this.#outer.aborted) return this.#outer.reason;
    if (this.#gaveUp.signal.aborted) return this.#gaveUp.signal.reason;
    if (error instanceof PlaceProblem) return error;
    return new PlaceProblem("unreachable", networkReason(error));
  }
}

function networkReason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "no connection";
  // How Node says that the other side left while the body came.
  if (code === "ECONNRESET" && reasonOf(error) === "aborted") return EARLY_END;
  // One error for each address of a host, and itself without a message.
  const message = error instanceof AggregateError && error.message === "" ? error.errors.map(reasonOf).join("; ") : reasonOf(error);
  return message === "" ? code : message;
}
