// Runs before anything else, also on a Node of ten years ago: no syntax that is younger than ECMAScript 5.
"use strict";

var wanted = require("../package.json").engines.node.replace(">=", "");
var found = process.versions.node;

function isOlder(version, other) {
  var parts = version.split(".").map(Number);
  var otherParts = other.split(".").map(Number);
  var index = 0;
  while (index < 2 && parts[index] === otherParts[index]) index += 1;
  return parts[index] < otherParts[index];
}

if (isOlder(found, wanted)) {
  console.error("hiperiso needs Node %s or newer; this is %s (%s).", wanted, found, process.execPath);
  console.error("Newer ones: https://nodejs.org/en/download");
  process.exit(3);
}
