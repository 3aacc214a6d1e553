/** `npm run schema`: writes schema/ anew from the compiled program. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { jsonSchemaFiles } from "../dist/config/json-schemas.js";
import { specSchemaText } from "../dist/live/spec-schema.js";
import { STAGE_KINDS } from "../dist/live/stages/kinds.js";

const folder = new URL("../schema/", import.meta.url);
const files = new Map([...jsonSchemaFiles(), ["live-spec.schema.json", specSchemaText(STAGE_KINDS)]]);
mkdirSync(folder, { recursive: true });
for (const name of readdirSync(folder)) if (!files.has(name)) rmSync(new URL(name, folder));
for (const [name, content] of files) writeFileSync(new URL(name, folder), content);
