/** `hiperiso live` and nothing else, for users who see no more of the project than one file. */
import { command } from "../../../src/cli/live.ts";
import { main } from "../../../src/cli/program.ts";

await main({
  name: "hiperiso",
  description: "",
  examples: [],
  commands: [{ name: "live", summary: "", load: async () => ({ command }) }],
});
