/**
 * Licences in /usr/share/doc/PACKAGE/copyright: by name where the file is written for machines (Debian's "copyright-format/1.0", once DEP-5), else by
 * the licences of /usr/share/common-licenses that it points to and by the sentences that each of the well-known ones begins with.
 */
import { decodeDeb822 } from "../../formats/deb822.ts";
import { decodeLicences, licencesText } from "../../formats/licence-expression.ts";

/** A short name has few words; what is longer is the text itself. */
const NAME_BYTES_MAX = 120;

interface TextRule {
  readonly licence: string;
  readonly text: RegExp;
  readonly matches: string;
  readonly ignores: string;
}

/** Blanks and line ends are one blank before these are tried. */
export const TEXT_RULES: readonly TextRule[] = [
  {
    licence: "Expat",
    text: /Permission is hereby granted, free of charge, to any person obtaining a copy/i,
    matches: "Permission is hereby granted, free of charge, to any person obtaining a copy of this software",
    ignores: "Permission is hereby granted, to any person",
  },
  {
    licence: "ISC",
    text: /Permission to use, copy, modify, and(?:\/or)? distribute this software (?:and its documentation )?for any purpose with or without fee is hereby granted/i,
    matches: "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted",
    ignores: "Permission to use this software for teaching is hereby granted",
  },
  {
    licence: "BSD",
    text: /Redistribution and use in source and binary forms, with or without modification, are permitted/i,
    matches: "Redistribution and use in source and binary forms, with or without modification, are permitted provided that",
    ignores: "Redistribution in binary form is not permitted",
  },
  {
    licence: "Zlib",
    text: /This software is provided ['‘`"]as-is['’"], without any express or implied warranty\. In no event will the authors? be held liable/i,
    matches: "This software is provided 'as-is', without any express or implied warranty. In no event will the author be held liable",
    ignores: "This software is provided as is.",
  },
  {
    licence: "public-domain",
    text: /(?:is|are|been) (?:placed |released |put )?(?:in|into|to) the public domain/i,
    matches: "This file has been placed in the public domain.",
    ignores: "not a domain of the public",
  },
  {
    licence: "Apache-2.0",
    text: /under the (?:terms of the )?Apache License,? Version 2\.0/i,
    matches: "Licensed under the Apache License, Version 2.0 (the “License”)",
    ignores: "the Apache HTTP server, version 2.0",
  },
  ...["2", "3"].map((version) => gnuRule("GPL", "General", version)),
  ...["2", "2.1", "3"].map((version) => gnuRule("LGPL", "(?:Lesser|Library) General", version)),
];

/** "… General Public License, version 2.1 …", and the same with "either version 2.1 of the License". */
function gnuRule(licence: string, words: string, version: string): TextRule {
  const digits = version.replace(".", "\\.");
  const sample = `GNU ${words.replace(/.*\|(.*)\)/, "$1")} Public License`;
  return {
    licence: `${licence}-${version}`,
    text: new RegExp(
      `GNU ${words} Public License(?: as published by the Free Software Foundation)?[,;]? \\(?(?:either )?v(?:ersion )?${digits}(?:\\.0)?(?!\\.?\\d)`,
      "i",
    ),
    matches: `under the terms of the ${sample} as published by the Free Software Foundation; either version ${version} of the License`,
    ignores: `under the terms of the ${sample}, version ${version}1`,
  };
}

/** Short names, or expressions of them, each of which holds for a part of the package; sorted. Empty where none was found. */
export function licencesOfCopyrightFile(text: string): readonly string[] {
  const [header, ...rest] = decodeDeb822(text);
  const isForMachines = /copyright-format|dep5|svn\.debian\.org|dep\.debian\.net/i.test(
    header?.get("format") ?? header?.get("format-specification") ?? "",
  );
  if (header !== undefined && isForMachines) {
    // A paragraph without files holds the text of a licence that others name.
    const named = [header, ...rest.filter((paragraph) => paragraph.has("files"))].flatMap((paragraph) =>
      shortName(paragraph.get("license")),
    );
    if (named.length > 0) return sortedUnique(named);
  }
  return sortedUnique(licencesInText(text));
}

function shortName(field: string | undefined): readonly string[] {
  // Some have the field's name twice.
  const line =
    field
      ?.split("\n")[0]
      ?.replace(/^(?:\s*licen[sc]e:)+/i, "")
      .trim() ?? "";
  if (line === "" || line.length > NAME_BYTES_MAX) return [];
  const expression = decodeLicences(line);
  return expression === undefined ? [] : [licencesText(expression)];
}

function licencesInText(text: string): readonly string[] {
  const line = text.replace(/^[ \t]*(?:\*|#|\/\/|%)+/gm, " ").replace(/\s+/g, " ");
  const common = [...line.matchAll(/\/usr\/share\/common-licenses\/([A-Za-z]+(?:-[0-9]+(?:\.[0-9]+)*)?)/g)].map((match) => match[1]!);
  // A licence named with its version tells more than the same without.
  const versioned = common.filter((name) => name.includes("-") || !common.some((other) => other.startsWith(`${name}-`)));
  return [...versioned, ...TEXT_RULES.filter(({ text: pattern }) => pattern.test(line)).map(({ licence }) => licence)];
}

const sortedUnique = (names: readonly string[]): readonly string[] => [...new Set(names)].sort();
