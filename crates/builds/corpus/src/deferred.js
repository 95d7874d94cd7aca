export async function version() {
  return import("react").catch(() => ({ version: "none" }));
}
console.log(await version());
