/** What is tested with podman, on Docker's own engine, and what is only there. Of Kubernetes it knows nothing. */

Deno.env.set("MULTIBINDER_ENGINE", "docker");
const first = ["image", "walk_through", "first_process", "privileges", "binder_restart"];
for (const name of [...first, "readme", "servers"]) await import(`../container/${name}.ts`);
for (const name of ["daemon", "compose", "user_namespaces", "scan"]) await import(`./${name}.ts`);
