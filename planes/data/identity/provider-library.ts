/**
 * `oidc-provider`, without one warning. It asks whether this Node is of a long-term line by a mark that releases bear only
 * months after their line began, and has no option for it. A line on every start that means nothing hides those that do.
 */
async function load(): Promise<typeof import("oidc-provider")> {
  const { warn } = console;
  console.warn = (...words: unknown[]) => {
    if (!String(words[0]).includes("Unsupported runtime")) warn(...words);
  };
  try {
    return await import("oidc-provider");
  } finally {
    console.warn = warn;
  }
}

const library = await load();
export const { default: OpenIdProvider, errors } = library;
