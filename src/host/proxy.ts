/** The proxies that a person has set for all programs: http_proxy, https_proxy, all_proxy and no_proxy, as curl reads them. */
import { HiperisoError } from "../contract/error.ts";
import type { Environment } from "./xdg.ts";

/** Which proxy a request goes through; undefined: none. */
export type ProxyChoice = (url: URL) => URL | undefined;

/**
 * HTTP_PROXY in capitals is not read, for a web server sets it from a request's header. This computer itself is always asked directly.
 * Throws (`usage`) where a proxy is set that is no `http://HOST:PORT`.
 */
export function proxyChoice(env: Environment): ProxyChoice {
  const all = given(env, "all_proxy", "ALL_PROXY");
  const http = given(env, "http_proxy") ?? all;
  const https = given(env, "https_proxy", "HTTPS_PROXY") ?? all;
  const direct = (env["no_proxy"] ?? env["NO_PROXY"] ?? "")
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .map((entry) => entry.toLowerCase().replace(/^\*?\./, ""));
  return (url) => {
    const proxy = url.protocol === "https:" ? https : http;
    if (proxy === undefined || isLoopback(url.hostname)) return undefined;
    const isDirect = direct.some(
      (entry) => entry === "*" || [url.hostname, url.host].some((host) => host === entry || host.endsWith(`.${entry}`)),
    );
    return isDirect ? undefined : proxy;
  };
}

function given(env: Environment, ...names: readonly string[]): URL | undefined {
  for (const name of names) {
    const text = env[name] ?? "";
    if (text !== "") return proxyUrl(name, text);
  }
  return undefined;
}

function proxyUrl(name: string, text: string): URL {
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url?.protocol === "http:") return url;
  throw new HiperisoError({
    what: "use a proxy",
    where: name,
    expected: "http://HOST:PORT",
    // Name and password may stand in it.
    found: url === undefined ? "something else" : `${url.protocol}//…`,
    kind: "usage",
  });
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
