/** What esbuild has to know to put a program and all packages that it uses into one file. */
export declare const oneFile: { readonly external: Array<string>; readonly banner: { readonly js: string } }
