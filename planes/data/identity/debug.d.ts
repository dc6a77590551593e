/** The package has no types of its own; this is the part that is used. */
declare module "debug" {
  const debug: { disable(): string };
  export default debug;
}
