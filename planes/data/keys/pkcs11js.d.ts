/** The package's own types are not there where it could not be compiled; this is the part that is used. */
declare module "pkcs11js" {
  const pkcs11js: { readonly PKCS11: new () => import("./pkcs11-module.ts").Pkcs11Module };
  export default pkcs11js;
}
