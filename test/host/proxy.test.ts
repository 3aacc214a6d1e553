import { describe, expect, test } from "vitest";
import { proxyChoice } from "../../src/host/proxy.ts";

const via = (env: Record<string, string>, url: string): string | undefined => proxyChoice(env)(new URL(url))?.href;

describe("the proxy", () => {
  test.each([
    [{}, "http://a/", undefined],
    [{ http_proxy: "http://p:3128" }, "http://a/", "http://p:3128/"],
    [{ http_proxy: "p:3128" }, "http://a/", "http://p:3128/"],
    [{ http_proxy: "http://p:3128" }, "https://a/", undefined],
    [{ HTTP_PROXY: "http://p:3128" }, "http://a/", undefined],
    [{ HTTPS_PROXY: "http://p:3128" }, "https://a/", "http://p:3128/"],
    [{ https_proxy: "http://p", HTTPS_PROXY: "http://q" }, "https://a/", "http://p/"],
    [{ all_proxy: "http://p" }, "https://a/", "http://p/"],
    [{ ALL_PROXY: "http://p", http_proxy: "http://q" }, "http://a/", "http://q/"],
    [{ http_proxy: "" }, "http://a/", undefined],
    [{ all_proxy: "http://p" }, "http://localhost:1/", undefined],
    [{ all_proxy: "http://p" }, "http://127.0.0.1:1/", undefined],
    [{ all_proxy: "http://p" }, "http://[::1]:1/", undefined],
    [{ all_proxy: "http://p", no_proxy: "b, a.example" }, "http://a.example/", undefined],
    [{ all_proxy: "http://p", no_proxy: ".example" }, "http://a.example/", undefined],
    [{ all_proxy: "http://p", NO_PROXY: "*.example" }, "http://a.example:80/", undefined],
    [{ all_proxy: "http://p", no_proxy: "a.example:81" }, "http://a.example:81/", undefined],
    [{ all_proxy: "http://p", no_proxy: "a.example" }, "http://ba.example/", "http://p/"],
    [{ all_proxy: "http://p", no_proxy: "*" }, "http://a/", undefined],
  ])("set as %j leads %s through %s", (env, url, proxy) => {
    expect(via(env as Record<string, string>, url)).toBe(proxy);
  });

  test.each(["socks5://p:1080", "https://p", "http://["])("%s is refused, and what may be a password in it is not said", (text) => {
    expect(() => proxyChoice({ all_proxy: text.replace("//", "//me:secret@") })).toThrow(
      expect.objectContaining({ kind: "usage", where: "all_proxy" }),
    );
    expect(() => proxyChoice({ all_proxy: text.replace("//", "//me:secret@") })).not.toThrow(/secret/);
  });
});
