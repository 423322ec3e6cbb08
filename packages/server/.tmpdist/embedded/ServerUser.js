/**
 * Whom PostgreSQL runs as, and the running of its programs as that user. PostgreSQL
 * refuses to run as root; started as root, Hikyaku runs it as another, existing user.
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import { execFile, spawn } from "node:child_process";
import { NoUserToRunAs } from "./EmbeddedPostgresError.js";
/**
 * Tried in this order when root has to step down. `postgres` first: where it exists it is
 * there for this; `nobody` exists nearly everywhere. A made-up number would separate
 * better, but initdb insists on a user that has a name.
 */
const candidates = ["postgres", "nobody"];
/** Whether this process is root. */
const isRoot = () => process.getuid?.() === 0;
const idOf = (option, name) => Effect.async((resume) => {
    // `id` knows users of directories too (LDAP, macOS), /etc/passwd does not.
    execFile("id", [option, name], { env: programEnvironment, timeout: 5_000 }, (error, stdout) => {
        const id = Number.parseInt(stdout, 10);
        // `| 0`: macOS prints nobody's -2 as 4294967294, spawn wants the signed number.
        resume(Effect.succeed(error === null && Number.isSafeInteger(id) ? Option.some(id | 0) : Option.none()));
    });
});
/** The user with that name, if there is one and it is not root. */
const byName = (name) => Effect.map(Effect.all([idOf("-u", name), idOf("-g", name)]), ([uid, gid]) => Option.filter(Option.all({ uid, gid }), (user) => user.uid !== 0));
/**
 * What the programs see of our environment: nothing, so that no PGPORT, PGDATA or
 * LD_LIBRARY_PATH of the shell changes what they do, and their messages are English
 * (we look for some of them).
 */
export const programEnvironment = { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C" };
/** The part of spawn's options that makes a program run as the user; ourselves when there is none. */
export const asUser = (user) => Option.match(user, { onNone: () => ({}), onSome: ({ gid, uid }) => ({ uid, gid }) });
/** Output beyond this many characters is cut off at its beginning. */
const outputCharsMax = 20_000;
/**
 * Runs a short-lived program as the user to its end, from the root folder (any other might
 * be closed to it). Never fails: a program that cannot be run ends with code null and the
 * reason as its output. Interruption and the time limit kill it with all that it started.
 */
export const run = (program, args, options) => Effect.async((resume) => {
    // Detached: a group of its own, so that it can be killed with its children.
    const child = spawn(program, args, {
        ...asUser(options.user),
        cwd: "/",
        detached: true,
        env: programEnvironment,
        stdio: ["ignore", "pipe", "pipe"]
    });
    let output = "";
    const collect = (chunk) => {
        output = (output + chunk.toString("utf8")).slice(-outputCharsMax);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const kill = () => {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null)
            return;
        try {
            process.kill(-child.pid, "SIGKILL");
        }
        catch {
            // Ended by itself in this moment.
        }
    };
    const timer = setTimeout(() => {
        output += `\nkilled after ${options.timeoutMs} ms`;
        kill();
    }, options.timeoutMs);
    child.on("error", (error) => {
        clearTimeout(timer);
        resume(Effect.succeed({ code: null, output: error.message }));
    });
    child.on("close", (code) => {
        clearTimeout(timer);
        resume(Effect.succeed({ code, output }));
    });
    return Effect.sync(() => {
        clearTimeout(timer);
        kill();
    });
});
/** Longest wait for a shell that does nothing. */
const trialTimeoutMs = 10_000;
/** The first candidate that exists and that we may become (a container can forbid it). */
const firstUsable = Effect.gen(function* () {
    for (const name of candidates) {
        const user = yield* byName(name);
        if (Option.isNone(user))
            continue;
        const trial = yield* run("/bin/sh", ["-c", ":"], { user, timeoutMs: trialTimeoutMs });
        if (trial.code === 0)
            return user.value;
    }
    return yield* new NoUserToRunAs({ tried: [...candidates] });
});
/** The user that new data are to belong to; none when this process is an ordinary user, who then owns them. */
export const forNewData = Effect.suspend(() => isRoot() ? Effect.map(firstUsable, Option.some) : Effect.succeedNone);
//# sourceMappingURL=ServerUser.js.map