/** What is tested with podman, on Docker's own engine, and what is only there. Of Kubernetes it knows nothing. */

Deno.env.set("MULTIBINDER_ENGINE", "docker");
const common = ["image", "walk_through", "first_process", "privileges", "binder_restart", "readme"];
for (const name of common) await import(`../container/${name}.ts`);
for (const name of ["daemon", "compose"]) await import(`./${name}.ts`);
