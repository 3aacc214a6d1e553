import { describe, expect, test } from "vitest";
import { GroupsSchema, planAccounts, UsersSchema } from "../../src/live/accounts.ts";

const BEFORE = {
  passwd: "root:x:0:0:root:/root:/bin/bash\nsomebody:x:1000:1000:Some Body:/home/somebody:/bin/zsh\n+::::::\n",
  group: "root:x:0:\nsudo:x:27:\nsomebody:x:1000:\n",
  shadow: "root:*:1:0:99999:7:::\nsomebody:$6$old:5:1:2:3:4:5:\n",
  gshadow: "root:*::\nsudo:*::\nsomebody:!::\n",
};
const plan = (users: unknown, groups: unknown = {}, before: Parameters<typeof planAccounts>[0] = BEFORE) =>
  planAccounts(before, UsersSchema.parse(users), GroupsSchema.parse(groups), { shell: "/bin/bash", day: 20_000 });

describe("users of a spec", () => {
  test("get the next free id, a group of their own, a home, and no password that opens", () => {
    const { files, homes } = plan({ live: {} });
    expect(files.passwd).toBe(`${BEFORE.passwd}live:x:1001:1001::/home/live:/bin/bash\n`);
    expect(files.group).toBe(`${BEFORE.group}live:x:1001:\n`);
    expect(files.shadow).toBe(`${BEFORE.shadow}live:*:20000:0:99999:7:::\n`);
    expect(files.gshadow).toBe(`${BEFORE.gshadow}live:!::\n`);
    expect(homes).toEqual([{ path: "/home/live", uid: 1001, gid: 1001 }]);
  });

  test("that are there keep all that the spec says nothing of", () => {
    const { files } = plan({ root: { no_password: true }, somebody: { password_hash: "$6$new$hash" } });
    expect(files.passwd).toBe(BEFORE.passwd);
    expect(files.shadow).toBe("root::20000:0:99999:7:::\nsomebody:$6$new$hash:20000:1:2:3:4:5:\n");
  });

  test("join groups, which are made where they are missing", () => {
    const { files } = plan({ live: { groups: ["sudo", "video"] }, somebody: { groups: ["sudo"] } });
    expect(files.group).toContain("sudo:x:27:live,somebody\n");
    expect(files.group).toContain("video:x:999:live\n");
    expect(files.gshadow).toContain("sudo:*::live,somebody\n");
  });

  test("of services have small ids, no shell and no home", () => {
    const { files, homes } = plan({ daemon: { system: true } });
    expect(files.passwd).toContain("daemon:x:999:999::/nonexistent:/usr/sbin/nologin\n");
    expect(homes).toEqual([]);
  });

  test("may have everything said", () => {
    const { files, homes } = plan({ live: { uid: 500, group: "sudo", home: "/srv/live", shell: "/bin/sh", comment: "Live User" } });
    expect(files.passwd).toContain("live:x:500:27:Live User:/srv/live:/bin/sh\n");
    expect(homes).toEqual([{ path: "/srv/live", uid: 500, gid: 27 }]);
  });

  test("keep their hash in passwd where there is no shadow", () => {
    const { files } = plan({ live: { password_hash: "$6$a$b" } }, {}, { passwd: "root:x:0:0:::\n", group: "" });
    expect(files.passwd).toContain("live:$6$a$b:1000:1000:");
    expect(files.shadow).toBeUndefined();
  });

  test("of a spec that was built before change nothing when it is built again", () => {
    const users = { live: { groups: ["sudo", "video"], password_hash: "$6$a$b" } };
    const first = plan(users).files;
    expect(plan(users, {}, first).files).toEqual(first);
  });

  test.each([
    ["an id that is another's", { live: { uid: 1000 } }, {}, /live: expected a uid of its own, found 1000, which is somebody's/],
    ["an id that is not the user's", { somebody: { uid: 7 } }, {}, /expected uid 1000, which it has, found 7/],
    ["a group id that is another's", {}, { video: { gid: 27 } }, /expected a gid of its own, found 27, which is sudo's/],
    ["a group id that is not the group's", {}, { sudo: { gid: 5 } }, /expected gid 27, which it has, found 5/],
  ])("with %s are refused", (_, users, groups, message) => {
    expect(() => plan(users, groups)).toThrow(message);
  });

  test.each([
    { "live:x": {} },
    { Live: {} },
    { live: { comment: "a:b" } },
    { live: { home: "/x\nroot::0:0" } },
    { live: { shell: "sh" } },
    { live: { password_hash: "secret" } },
    { live: { password_hash: "$6$a\n$b" } },
    { live: { password_hash: "$6$a$b", no_password: true } },
    { live: { uid: 65_534 } },
    { live: { unknown: 1 } },
  ])("that would not stand in one line are refused: %j", (users) => {
    expect(UsersSchema.safeParse(users).success).toBe(false);
  });
});
