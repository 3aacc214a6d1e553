/** One plain line of the JSON that vitest wrote: `N passed, N failed, N skipped`. `node scripts/test-summary.mjs FILE` prints it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Status 1 where a test failed, where a file could not even be loaded, and where nothing ran. */
export function summaryOf(path) {
  let results = [];
  try {
    results = JSON.parse(readFileSync(path, "utf8")).testResults;
  } catch {
    // The run ended before it wrote its results: nothing passed.
  }
  const tests = results.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const unloaded = results.filter(({ status, assertionResults }) => status === "failed" && assertionResults.length === 0).length;
  const count = (...statuses) => tests.filter((status) => statuses.includes(status)).length;
  const [passed, failed, skipped] = [count("passed"), count("failed") + unloaded, count("pending", "skipped", "todo", "disabled")];
  return { line: `${passed} passed, ${failed} failed, ${skipped} skipped`, status: failed > 0 || passed === 0 ? 1 : 0 };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { line, status } = summaryOf(process.argv[2]);
  console.log(line);
  process.exitCode = status;
}
