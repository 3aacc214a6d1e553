/**
 * `npm start` and `npm test` on a computer that has Node and nothing else: system packages, npm packages, the build, then the work.
 * Each step is done only where something is missing or has changed. Plain JavaScript without dependencies: it runs before `npm ci`.
 *
 *   node scripts/setup.mjs           set up only
 *   node scripts/setup.mjs --run     set up, build the demo image, boot it
 *   node scripts/setup.mjs --test [vitest's arguments]
 *
 * Exit status 3: the set-up failed, and what to do about it was said. Otherwise that of the work.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { summaryOf } from "./test-summary.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PROGRAM = join(ROOT, "dist/cli/hiperiso.js");
const FAILED = 3;
/** Folders of system programs that a person's PATH need not name. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

class SetupError extends Error {}

async function main([mode, ...rest]) {
  // A Ctrl-C reaches every program of the terminal's group: they end in order, and we with their exit status.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => forward(signal));
  try {
    await provideSystemPackages(mode === "--test" ? ["boot", "demo", "test"] : ["boot", "demo"]);
    if (mode === "--test") await tryOptionalPackages(["boot", "demo", "test"]);
    await provideNpmPackages();
    await provideBuild();
    if (mode === "--run") return await bootDemo(rest);
    if (mode === "--test") return await runTests(rest);
    return 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`error: ${error.message}`);
    return FAILED;
  }
}

const say = (line) => process.stderr.write(`${line}\n`);

// System packages

async function provideSystemPackages(stages) {
  const missing = missingTools(stages);
  if (missing.length === 0) return;
  const distribution = distributionHere();
  const packages = [...new Set(missing.map(({ packages }) => packages[distribution ?? "debian"]))].sort();
  say("Missing on this computer:");
  const width = Math.max(...packages.map((name) => name.length));
  for (const tool of missing) say(`  ${tool.packages[distribution ?? "debian"].padEnd(width)}  ${tool.what} (for ${tool.needed_for})`);

  if (distribution !== "debian" || !isProgram("apt-get")) throw new SetupError(otherDistribution(distribution, packages));
  await installWithApt(packages);
  const still = missingTools(stages);
  if (still.length > 0)
    throw new SetupError(`The packages were installed, but these are still missing: ${still.map(({ what }) => what).join("; ")}.`);
}

/** What tests can do without, by skipping: installed where that works. Ubuntu's package of a browser is a snap, which a container cannot take. */
async function tryOptionalPackages(stages) {
  const missing = missingTools(stages, false);
  if (missing.length === 0 || distributionHere() !== "debian" || osRelease("ID") !== "debian" || !isProgram("apt-get")) return;
  for (const { packages, what, needed_for } of missing) say(`Missing on this computer: ${packages.debian}  ${what} (for ${needed_for})`);
  try {
    await installWithApt(missing.map(({ packages }) => packages.debian));
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`warning: ${error.message}`);
    for (const { cost_when_missing } of missing) say(`warning: ${cost_when_missing}`);
  }
}

/** Required rows of the table, or the others, whose program or file is not here. */
function missingTools(stages, wanted = true) {
  const { tools } = JSON.parse(readFileSync(join(ROOT, "scripts/system-packages.json"), "utf8"));
  return tools.filter(
    ({ required, stage, commands, files }) =>
      required === wanted && stages.includes(stage) && !commands.some(isProgram) && !files.some((file) => existsSync(file)),
  );
}

function isProgram(name) {
  return [...(process.env.PATH ?? "").split(delimiter), ...SYSTEM_FOLDERS].some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return statSync(join(folder, name)).isFile();
    } catch {
      return false;
    }
  });
}

/** A column of the table; undefined for a distribution that it does not know. */
function distributionHere() {
  const names = `${osRelease("ID")} ${osRelease("ID_LIKE")}`.split(" ");
  const known = [
    ["debian", ["debian", "ubuntu"]],
    ["fedora", ["fedora", "rhel"]],
    ["arch", ["arch"]],
    ["opensuse", ["opensuse", "suse", "opensuse-leap", "opensuse-tumbleweed"]],
  ];
  return known.find(([, ids]) => ids.some((id) => names.includes(id)))?.[0];
}

/** A field of os-release(5); empty where it is not said. */
function osRelease(key) {
  try {
    return new RegExp(`^${key}="?([^"\n]*)"?$`, "m").exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}

function otherDistribution(distribution, packages) {
  const command = { fedora: "dnf install", arch: "pacman -S --needed", opensuse: "zypper install", debian: "apt-get install" }[
    distribution ?? ""
  ];
  if (command === undefined)
    return `This distribution is not known. Install what its packages call: ${packages.join(" ")}. Then try again.`;
  return `Only Debian and Ubuntu are set up by themselves. Run this, then try again:\n  ${command} ${packages.join(" ")}`;
}

async function installWithApt(packages) {
  const typed = `apt-get update && apt-get install --no-install-recommends ${packages.join(" ")}`;
  const isRoot = process.getuid() === 0;
  if (!isRoot && !isProgram("sudo"))
    throw new SetupError(`Installing needs root, and there is no sudo. As root, run this, then try again:\n  ${typed}`);
  // Where nobody can answer, sudo must not ask.
  const asRoot = isRoot ? [] : ["sudo", ...(process.stdin.isTTY ? [] : ["-n"])];
  const apt = (...args) => [...asRoot, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300", ...args];
  const byHand = `Run this${isRoot ? "" : " as root"}, then try again:\n  ${typed}`;

  say(`Installing with apt-get${isRoot ? "" : " (sudo)"}: ${packages.join(" ")}`);
  if ((await run(apt("-qq", "update"), { stdout: process.stderr.fd })) !== 0) {
    say("warning: apt-get update failed; trying with the package lists that are here");
  }
  const status = await run(apt("-qq", "install", "--yes", "--no-install-recommends", ...packages), { stdout: process.stderr.fd });
  if (status !== 0) throw new SetupError(`apt-get ended with status ${status}. ${byHand}`);
}

// npm packages

async function provideNpmPackages() {
  if (npmPackagesFit()) return;
  say("Installing npm packages");
  const status = await run([...npm(), "ci", "--no-audit", "--no-fund"], { cwd: ROOT, stdout: process.stderr.fd });
  if (status !== 0)
    throw new SetupError(`npm ci ended with status ${status}. Check the network and npm's registry setting, then try again.`);
}

const npm = () => (process.env.npm_execpath?.endsWith(".js") ? [process.execPath, process.env.npm_execpath] : ["npm"]);

/** Whether what npm noted of its last installation is what the lock file asks for. Packages for other platforms may be missing. */
function npmPackagesFit() {
  const read = (path) => {
    try {
      return JSON.parse(readFileSync(join(ROOT, path), "utf8")).packages ?? {};
    } catch {
      return {};
    }
  };
  const [wanted, installed] = [read("package-lock.json"), read("node_modules/.package-lock.json")];
  const same = (a, b) => a !== undefined && b !== undefined && a.version === b.version && a.integrity === b.integrity;
  return (
    Object.entries(wanted).every(
      ([path, entry]) => path === "" || same(entry, installed[path]) || (entry.optional && installed[path] === undefined),
    ) && Object.entries(installed).every(([path, entry]) => same(entry, wanted[path]) && existsSync(join(ROOT, path)))
  );
}

// The build

async function provideBuild() {
  const stamp = join(ROOT, "dist/.built-from");
  const digest = sourcesDigest();
  if (existsSync(stamp) && existsSync(PROGRAM) && readFileSync(stamp, "utf8") === digest) return;
  say("Building");
  rmSync(join(ROOT, "dist"), { recursive: true, force: true });
  const status = await run([...npm(), "run", "--silent", "build"], { cwd: ROOT, stdout: process.stderr.fd });
  if (status !== 0) throw new SetupError(`npm run build ended with status ${status}.`);
  writeFileSync(stamp, digest);
}

/** Of everything that the build reads. */
function sourcesDigest() {
  const hash = createHash("sha256");
  const add = (path) => {
    if (statSync(join(ROOT, path)).isDirectory()) for (const name of readdirSync(join(ROOT, path)).sort()) add(join(path, name));
    else hash.update(`${path}\0`).update(readFileSync(join(ROOT, path)));
  };
  for (const path of ["package.json", "package-lock.json", "tsconfig.json", "tsconfig.build.json", "scripts/bundle.mjs", "src"]) add(path);
  return `${hash.digest("hex")}\n`;
}

// The work

async function bootDemo(bootArguments) {
  const image = await outputOf([process.execPath, PROGRAM, "live", "demo"]);
  say(`Booting ${image}`);
  return await run([process.execPath, PROGRAM, "boot", image, ...bootArguments]);
}

async function runTests(vitestArguments) {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
  const results = process.env.HIPERISO_TEST_RESULTS ?? join(folder, "results.json");
  try {
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${results}`];
    const vitest = [
      process.execPath,
      join(ROOT, "node_modules/vitest/vitest.mjs"),
      "run",
      "--project",
      "unit",
      "--project",
      "broad",
      "--project",
      "real",
    ];
    const status = await run([...vitest, ...reporters, ...vitestArguments], { cwd: ROOT, stdin: "ignore" });
    const summary = summaryOf(results);
    // Whoever asked for the results sums them up itself, behind what npm says.
    if (process.env.HIPERISO_TEST_RESULTS === undefined) console.log(summary.line);
    return status !== 0 ? status : summary.status;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Programs

let running;

function forward(signal) {
  // The terminal has sent SIGINT to the child too; another would be its second and make it end at once.
  if (signal !== "SIGINT") running?.kill(signal);
}

/** Exit status of a program that shares our terminal. */
async function run([program, ...args], { cwd = process.cwd(), stdin = "inherit", stdout = "inherit" } = {}) {
  const child = spawn(program, args, { cwd, stdio: [stdin, stdout, "inherit"] });
  return await ended(child, program);
}

/** Its standard output, as one line. */
async function outputOf([program, ...args]) {
  const child = spawn(program, args, { stdio: ["inherit", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  const status = await ended(child, program);
  if (status !== 0) process.exit(status);
  return text.trim();
}

function ended(child, program) {
  running = child;
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new SetupError(`${program} could not be started: ${error.message}`)));
    child.once("close", (code, signal) => resolve(code ?? 128 + ({ SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 0)));
  });
}

process.exitCode = await main(process.argv.slice(2));
