import { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { QmpClient, type QmpEvent } from "../../src/host/qmp.ts";

interface Command {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
  readonly id: number;
}

/** QEMU's end of the line, by hand: keeps what it is told, says what the test says. */
class Peer {
  readonly told: Command[] = [];
  readonly stream: Duplex;

  constructor() {
    this.stream = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _, done) => {
        for (const line of chunk.toString().trimEnd().split("\n")) this.told.push(JSON.parse(line) as Command);
        done();
      },
    });
  }

  say(...messages: readonly unknown[]): void {
    this.raw(messages.map((message) => `${JSON.stringify(message)}\r\n`).join(""));
  }

  raw(text: string | Uint8Array): void {
    this.stream.push(text);
  }

  idOf(command: string): number {
    return this.told.find(({ execute }) => execute === command)!.id;
  }
}

const GREETING = { QMP: { version: {}, capabilities: [] } };

function talk(answerLimitMs?: number) {
  const peer = new Peer();
  const events: QmpEvent[] = [];
  return { peer, events, client: new QmpClient(peer.stream, (event) => events.push(event), answerLimitMs) };
}

async function opened(answerLimitMs?: number) {
  const line = talk(answerLimitMs);
  const open = line.client.open();
  line.peer.say(GREETING);
  await vi.waitFor(() => line.peer.idOf("qmp_capabilities"));
  line.peer.say({ return: {}, id: line.peer.idOf("qmp_capabilities") });
  await open;
  return line;
}

const reasonOf = async (promise: Promise<unknown>): Promise<string> => {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(HiperisoError);
  return (thrown as HiperisoError).message;
};

afterEach(() => {
  vi.useRealTimers();
});

describe("a conversation", () => {
  test("waits for the greeting before it negotiates", async () => {
    const { peer, client } = talk();
    const open = client.open();
    await turn();
    expect(peer.told).toEqual([]);
    peer.say(GREETING);
    await vi.waitFor(() => expect(peer.told).toEqual([{ execute: "qmp_capabilities", id: 1 }]));
    peer.say({ return: {}, id: 1 });
    await open;
  });

  test("replies out of order find their commands, events in between their listener", async () => {
    const { peer, events, client } = await opened();
    const status = client.execute("query-status");
    const dump = client.execute("screendump", { filename: '/tmp/a "b",c' });
    await turn();
    expect(peer.told.at(-1)).toMatchObject({ execute: "screendump", arguments: { filename: '/tmp/a "b",c' } });
    peer.say(
      { event: "RESET", data: { guest: true }, timestamp: {} },
      { return: { second: 2 }, id: peer.idOf("screendump") },
      { event: "STOP", timestamp: {} },
      { return: { status: "running" }, id: peer.idOf("query-status") },
    );
    expect(await dump).toEqual({ second: 2 });
    expect(await status).toEqual({ status: "running" });
    expect(events).toEqual([
      { event: "RESET", data: { guest: true } },
      { event: "STOP", data: {} },
    ]);
  });

  test("QEMU's refusal is an error with its own words, and the next command still works", async () => {
    const { peer, client } = await opened();
    const refused = reasonOf(client.execute("screendump"));
    await turn();
    peer.say({ error: { class: "GenericError", desc: "There is no console" }, id: peer.idOf("screendump") });
    expect(await refused).toMatch(/screendump.*There is no console/);
    const next = client.execute("stop");
    await turn();
    peer.say({ return: {}, id: peer.idOf("stop") });
    expect(await next).toEqual({});
  });

  test("a message cut anywhere, also inside a character", async () => {
    const { peer, client } = await opened();
    const answer = client.humanMonitor("info block");
    await turn();
    const bytes = Buffer.from(`${JSON.stringify({ return: "größe\r\n", id: peer.idOf("human-monitor-command") })}\n`);
    for (const byte of bytes) peer.raw(Uint8Array.of(byte));
    expect(await answer).toBe("größe\n");
  });

  test("replies that nobody waits for, and objects of no known kind, change nothing", async () => {
    const { peer, events, client } = await opened();
    peer.say({ return: {}, id: 4711 }, { id: "text" }, {}, { error: {} }, GREETING);
    const answer = client.execute("stop");
    await turn();
    peer.say({ return: 1, id: peer.idOf("stop") });
    expect(await answer).toBe(1);
    expect(events).toEqual([]);
  });
});

describe("the end of a conversation", () => {
  test.each(["no json", "null", "5", '"text"', "[1]", '{"return": '])(
    "the line %j closes it, for those who wait and those who come",
    async (line) => {
      const { peer, events, client } = await opened();
      const waiting = reasonOf(client.execute("stop"));
      peer.raw(`${line}\n${JSON.stringify({ event: "STOP" })}\n`);
      expect(await waiting).toContain("no JSON object");
      expect(await reasonOf(client.execute("cont"))).toContain("no JSON object");
      expect((await client.closed).message).toContain("no JSON object");
      expect(events).toEqual([]);
      expect(peer.stream.destroyed).toBe(true);
    },
  );

  test("closed in the middle of a reply: whoever waits is told", async () => {
    const { peer, client } = await opened();
    const waiting = [client.execute("stop"), client.execute("cont")].map(reasonOf);
    peer.raw('{"return": {');
    peer.stream.push(null);
    for (const reason of await Promise.all(waiting)) expect(reason).toContain("QEMU closed its monitor");
  });

  test("closed before the greeting", async () => {
    const { peer, client } = talk();
    const open = reasonOf(client.open());
    peer.stream.destroy();
    expect(await open).toContain("QEMU closed its monitor");
  });

  test("a socket's error, and a second one after it, is a reason and no crash", async () => {
    const { peer, client } = await opened();
    const waiting = reasonOf(client.execute("stop"));
    peer.stream.destroy(new Error("ECONNRESET"));
    expect(await waiting).toContain("ECONNRESET");
    await turn();
    peer.stream.emit("error", new Error("EPIPE"));
    expect((await client.closed).message).toContain("ECONNRESET");
  });

  test("a line without an end is given up at 16 MiB; a long one with an end is read", async () => {
    const { peer, client } = await opened();
    const long = client.humanMonitor("info qtree");
    await turn();
    peer.say({ return: "x".repeat(4 << 20), id: peer.idOf("human-monitor-command") });
    expect(await long).toHaveLength(4 << 20);
    const waiting = reasonOf(client.execute("stop"));
    for (let count = 0; count < 17; count += 1) peer.raw("x".repeat(1 << 20));
    expect(await waiting).toContain("16 MiB");
  });

  test("a command that is never answered closes the monitor: nobody waits for ever", async () => {
    vi.useFakeTimers();
    const { client } = await opened(5_000);
    const waiting = reasonOf(client.execute("screendump"));
    await vi.advanceTimersByTimeAsync(4_999);
    const later = reasonOf(client.execute("stop"));
    await vi.advanceTimersByTimeAsync(1);
    expect(await waiting).toContain("no answer to screendump within 5 s");
    expect(await later).toContain("no answer to screendump");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("so does a greeting that never comes", async () => {
    vi.useFakeTimers();
    const { client } = talk(5_000);
    const open = reasonOf(client.open());
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await open).toContain("no greeting");
    expect(vi.getTimerCount()).toBe(0);
  });
});
