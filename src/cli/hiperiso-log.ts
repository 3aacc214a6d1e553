#!/usr/bin/env node
import { LOG_PROGRAM } from "./log-commands.ts";
import { main } from "./program.ts";

await main(LOG_PROGRAM);
