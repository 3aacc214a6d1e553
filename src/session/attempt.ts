/** One run of QEMU: start, watch, evidence, end. A session has one, or two where KVM could not run the guest. */
import { chmod, copyFile, mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createGoal, type Goal } from "../analysis/goal.ts";
import { type ConsoleEvent, createConsoleWatch } from "../analysis/watch.ts";
import { reasonOf } from "../contract/error.ts";
import { type Ending, SESSION_FILES, type StatusStage } from "../contract/session.ts";
import type { PassedStage } from "../contract/verdict.ts";
import { shellCommand } from "../formats/escape-shell.ts";
import { drawnPixels } from "../formats/ppm.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import type { Clock } from "../host/clock.ts";
import { identityOf } from "../host/process-identity.ts";
import type { QmpEvent } from "../host/qmp.ts";
import { type MachinePlan, variableStoreTemplate } from "../machine/plan.ts";
import { type BootPlaces, qemuArguments } from "../machine/qemu-arguments.ts";
import type { TracePlaces, TracePlan } from "../machine/trace.ts";
import { encodeJson, type SessionDirectory } from "./directory.ts";
import { displayPlace } from "./display.ts";
import { GuestDriver } from "./drive.ts";
import { type Guest, startGuest } from "./guest.ts";
import { saveGuestPages } from "./guest-pages.ts";
import { joinInitrds } from "./join-initrds.ts";
import { makeDisks } from "./make-disks.ts";
import { placeSocket } from "./monitor-socket.ts";
import type { Recording } from "./recording.ts";
import { describeScreen, readScreen, readTextScreen, saveScreenshot } from "./screen.ts";
import { SerialFollower } from "./serial-follower.ts";
import { startTpm, tpmSocketPath } from "./tpm.ts";
import { prepareTrace, type TraceRecorderStart } from "./trace-recorder.ts";
import { UNSTARTED } from "./unstarted-ending.ts";
import { BootWatch, type Stop } from "./watch-boot.ts";

const HEARTBEAT_MS = 5_000;
const TICK_MS = 1_000;
/** For a script to keep how far it came, when the boot is over. One that does not listen is not waited for. */
const LAST_WORDS_MS = 2_000;

/** Throws where QEMU cannot be started; under KVM that too is an ending, since emulation may do better. */
export async function runAttempt(
  directory: SessionDirectory,
  sessionScratch: string,
  plan: MachinePlan,
  recording: Recording,
): Promise<Ending> {
  const { clock, onEvent, job } = recording;
  const scratch = await mkdtemp(join(sessionScratch, "attempt-"));
  const goal = createGoal(recording.goal);
  // Before QEMU runs: the analyser builds its tables here, and the guest should not share a processor with that.
  const console_ = createConsoleWatch({ goal, rules: recording.rules, steps: recording.steps });
  const setStatus = async (stage: StatusStage, exitCode?: number | null) => {
    await directory.setStatus("running", stage, exitCode);
    onEvent({ type: "status", stage });
  };
  await setStatus(plan.accelerator.use === "kvm" ? "kvm_ok" : "tcg_emulation");
  const args = await prepareFiles(directory, scratch, plan, recording);
  await setStatus("launching_qemu");
  await directory.markPhase("qemu_start");
  const startedMs = clock.monotonicMs();
  const elapsedMs = () => clock.monotonicMs() - startedMs;

  const early: QmpEvent[] = [];
  const told = { qmp: (event: QmpEvent): void => void early.push(event) };
  const start = { ...guestStart(directory, scratch, plan, args, recording), onEvent: (event: QmpEvent) => told.qmp(event) };
  await using trace = plan.trace === undefined ? null : await prepareTrace(traceStart(directory, scratch, plan.trace, clock));
  await using _tpm = plan.tpm === null ? null : await startTpm(plan.tpm, scratch, start);
  let started: Guest;
  try {
    started = await startGuest(start);
  } catch (error) {
    if (plan.accelerator.use === "tcg" || job.signal.aborted) throw error;
    return await neverStarted(directory, plan, goal, reasonOf(error));
  }
  await using guest = started;
  trace?.setProcess(guest.pid);
  await directory.writeJson(SESSION_FILES.qemuProcess, { ...identityOf(guest.pid), private_folder: basename(scratch) });
  await announceDisplay(directory, plan, guest, recording);

  using follower = new SerialFollower(
    directory.file(SESSION_FILES.serial),
    directory.file(SESSION_FILES.serialTimes),
    elapsedMs,
    (bytes, timeMs) => {
      onEvent({ type: "serial", bytes });
      const events = console_.push(bytes, timeMs);
      for (const event of events) noteConsole(event, "serial");
      watch.noteConsole(events);
      driver.noteSerial(bytes, events);
    },
  );
  const noteConsole = (event: ConsoleEvent, source: "serial" | "screen") => {
    onEvent({ type: "console", event, source });
    if (event.type === "stage" && source === "serial") void directory.markPhase(event.stage).catch(() => {});
  };
  const onScreen = (events: readonly ConsoleEvent[]) => {
    for (const event of events) noteConsole(event, "screen");
    driver.noteConsole(events);
  };
  const watch = new BootWatch({
    guest,
    scratch,
    limits: plan.limits,
    memoryMb: plan.memoryMb,
    follower,
    goal,
    rules: recording.rules,
    elapsedMs,
    signal: job.signal,
    onScreen,
  });
  const driver = new GuestDriver({
    guest,
    elapsedMs,
    stepMs: plan.limits.stepMs,
    screenshot: (name) => saveScreenshot(guest.qmp, directory.path, `${SESSION_FILES.screenshotPrefix}${name}`),
    keep: (file) => directory.writeJson(SESSION_FILES.script, file),
    watch,
  });
  const stopped = watch.untilStopped();
  stopped.catch(() => {}); // looked at below; until then nobody listens
  told.qmp = (event) => {
    watch.noteQmp(event);
    driver.noteQmp(event);
  };
  for (const event of early) watch.noteQmp(event);

  using _heart = every(HEARTBEAT_MS, () => {
    directory.beat().catch(() => {}); // a full disk ends the session where it hurts: at the files of its end
    follower.sync();
    trace?.sync();
    void endWithoutRoom(directory, recording.roomKeptBytes, watch);
  });
  using ticking = every(TICK_MS, () => onEvent({ type: "tick", elapsedMs: elapsedMs(), lastLine: console_.lastLine }));
  follower.start((error) => watch.fail(error));
  void endWithoutRoom(directory, recording.roomKeptBytes, watch);
  const driven = driver.run(recording.drive, watch);
  guest.qmp.execute("cont").catch((error: unknown) => watch.fail(error));
  const stop = await stopped.finally(() => driver.end());
  await atMost(LAST_WORDS_MS, driven);
  const durationMs = Math.round(elapsedMs());
  if (stop.reason === "goal") await leave(guest, watch, plan.limits.leaveMs, job.signal);
  ticking[Symbol.dispose]();
  const still = watch.stillMs >= plan.limits.stillMs;
  await directory.markPhase(stop.reason === "goal" ? "goal" : "stopped");
  const screen = await collectEvidence(guest, directory, scratch, stop, recording);
  if (stop.reason === "goal" && listensToPowerButton(console_.stage, stop))
    await powerDown(guest, watch, plan.limits.powerdownMs, job.signal);
  await guest.end(plan.limits.quitMs);
  follower.stop();
  const exit = await guest.ended;
  await trace?.end();
  await rm(directory.file(SESSION_FILES.vncSocket), { force: true }); // QEMU leaves it behind
  await directory.markPhase("qemu_exited");
  await setStatus("qemu_exited", exit.code);
  return {
    ...endingOf(plan, goal, stop),
    duration_ms: durationMs,
    resets: watch.resets,
    qemu_exit_code: exit.code,
    qemu_signal: exit.signal,
    serial_bytes: follower.bytes,
    still,
    ...screen,
  };
}

/** A session that ends while its last files still fit says more than one that recorded until nothing went any more. */
async function endWithoutRoom(directory: SessionDirectory, keptBytes: bigint | undefined, watch: BootWatch): Promise<void> {
  if (keptBytes === undefined) return;
  const room = await statfs(directory.path, { bigint: true }).catch(() => undefined);
  if (room === undefined || room.bavail * room.bsize >= keptBytes) return;
  watch.end({ reason: "no_room", detail: `only ${(room.bavail * room.bsize) >> 20n} MiB are free where the session is written` });
}

/** For whoever wants to look on: in the session, and said. */
async function announceDisplay(directory: SessionDirectory, plan: MachinePlan, guest: Guest, { onEvent }: Recording): Promise<void> {
  const place = await displayPlace(plan, guest.qmp, directory.path);
  if (place === null) return;
  await directory.writeJson(SESSION_FILES.display, place);
  onEvent({ type: "display", place });
}

/** Everything but the guest itself: the plan as data, the private variable store, the files that QEMU appends to, and its command line. */
async function prepareFiles(
  directory: SessionDirectory,
  scratch: string,
  plan: MachinePlan,
  { mask, plan: first }: Pick<Recording, "mask" | "plan">,
): Promise<readonly string[]> {
  const again = plan !== first; // KVM could not run it

  const places: BootPlaces = {
    variables: variablesPath(scratch),
    firmwareLog: directory.file(SESSION_FILES.firmwareLog),
    monitorSocket: await placeSocket(SESSION_FILES.monitorSocket, directory.path, scratch),
    vncSocket: await placeSocket(SESSION_FILES.vncSocket, directory.path, scratch),
    tpmSocket: tpmSocketPath(scratch),
    networkCapture: directory.file(SESSION_FILES.networkCapture),
    privateFolder: scratch,
    joinedInitrds: join(scratch, "initrd.img"),
    trace: tracePlaces(scratch),
  };
  await writeFileAtomic(directory.file(SESSION_FILES.plan), mask(encodeJson({ ...plan, monitor_socket: places.monitorSocket })));
  await makeDisks(plan, { privateFolder: scratch, directory: directory.path, again });
  if (plan.kernel !== null && plan.kernel.initrds.length > 1) await joinInitrds(plan.kernel.initrds, places.joinedInitrds);
  const template = variableStoreTemplate(plan);
  if (template !== undefined) {
    await copyFile(template.filename, places.variables);
    await chmod(places.variables, 0o600); // the template is read-only
  }
  for (const name of [SESSION_FILES.serial, SESSION_FILES.serialTimes, SESSION_FILES.qemuErrors]) await writeFile(directory.file(name), "");
  const args = qemuArguments(plan, places);
  await writeFileAtomic(directory.file(SESSION_FILES.qemuCommandLine), `${shellCommand([plan.qemu, ...args])}\n`);
  return args;
}

const variablesPath = (scratch: string): string => join(scratch, "variables.fd");
const tracePlaces = (scratch: string): TracePlaces => ({ list: join(scratch, "trace.list"), fifo: join(scratch, "trace.fifo") });

const traceStart = (directory: SessionDirectory, scratch: string, plan: TracePlan, clock: Clock): TraceRecorderStart => ({
  directory: directory.path,
  plan,
  places: tracePlaces(scratch),
  variables: variablesPath(scratch),
  clock,
});

function guestStart(directory: SessionDirectory, scratch: string, plan: MachinePlan, args: readonly string[], { env, job }: Recording) {
  return {
    qemu: plan.qemu,
    args,
    directory: directory.path,
    serialLog: directory.file(SESSION_FILES.serial),
    errorLog: directory.file(SESSION_FILES.qemuErrors),
    scratch,
    signal: job.signal,
    env: { ...env, TMPDIR: scratch }, // where QEMU puts the overlay that takes the guest's writes
  };
}

type ScreenFacts = Pick<Ending, "screen" | "screen_drawn"> & { readonly screenshot?: string };

/**
 * What is to be seen at the stop: the guest stands still while it is looked at. QEMU may be dead or die meanwhile; then there is less.
 */
async function collectEvidence(
  guest: Guest,
  directory: SessionDirectory,
  scratch: string,
  { reason }: Stop,
  { mask }: Recording,
): Promise<ScreenFacts> {
  const nothing: ScreenFacts = { screen: "", screen_drawn: null };
  const alive = await guest.qmp.execute("stop").then(
    () => true,
    () => false,
  );
  if (!alive) return nothing;
  await saveGuestPages(guest.qmp, directory.file(SESSION_FILES.hardware), reason === "goal", mask);
  const screen = await readScreen(guest.qmp, scratch);
  if (screen === undefined) return nothing;
  const screenshot = await saveScreenshot(guest.qmp, directory.path, `${SESSION_FILES.screenshotPrefix}${reason}`);
  const rows = await readTextScreen(guest.qmp, scratch, screen);
  if (rows.length > 0) await writeFile(directory.file(SESSION_FILES.screenText), `${rows.join("\n")}\n`);
  return { screen: describeScreen(screen), screen_drawn: drawnPixels(screen), ...(screenshot === undefined ? {} : { screenshot }) };
}

/** Before userspace nobody does: firmware, boot loaders and a kernel alone would only be waited for. A goal on the screen says nothing of it. */
const listensToPowerButton = (stage: PassedStage | undefined, { onScreen }: Stop): boolean =>
  stage === "userspace" || stage === "login" || onScreen === true;

/** A guest that works on a disk has written all of it only when it ends by itself, and it does so soon after its goal. */
async function leave(guest: Guest, watch: BootWatch, patienceMs: number, signal: AbortSignal): Promise<void> {
  if (patienceMs === 0) return;
  const over = new AbortController();
  const patience = delay(patienceMs, undefined, { signal: AbortSignal.any([over.signal, signal]) }).catch(() => {});
  await Promise.race([watch.untilShutDown(), guest.ended, patience]);
  over.abort();
}

/** Presses the guest's power button and gives it time; what does not listen is quit, as is all where the person has no patience. */
async function powerDown(guest: Guest, watch: BootWatch, patienceMs: number, signal: AbortSignal): Promise<void> {
  const down = watch.untilShutDown();
  const over = new AbortController();
  const patience = delay(patienceMs, undefined, { signal: AbortSignal.any([over.signal, signal]) }).catch(() => {});
  try {
    await guest.qmp.execute("cont");
    await guest.qmp.execute("system_powerdown");
    await Promise.race([down, guest.ended, patience]);
  } catch {
    // It has ended meanwhile: just as well.
  } finally {
    over.abort();
  }
}

/** Waits for `work`, but no longer than this. */
async function atMost(limitMs: number, work: Promise<void>): Promise<void> {
  const over = new AbortController();
  await Promise.race([work, delay(limitMs, undefined, { signal: over.signal }).catch(() => {})]);
  over.abort();
}

/** What is known of an ending before QEMU's exit; the rest as for a guest that never ran. */
function endingOf(plan: MachinePlan, goal: Goal, { reason, detail }: Stop): Ending {
  return {
    ...UNSTARTED,
    reason,
    detail,
    goal: goal.spec,
    goal_reached: reason === "goal",
    firmware: plan.firmware.interface,
    accelerator: plan.accelerator.use,
  };
}

async function neverStarted(directory: SessionDirectory, plan: MachinePlan, goal: Goal, detail: string): Promise<Ending> {
  await directory.markPhase("qemu_exited");
  return { ...endingOf(plan, goal, { reason: "qemu_died", detail }), qemu_exit_code: 1 };
}

function every(periodMs: number, what: () => void): Disposable {
  const timer = setInterval(what, periodMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
