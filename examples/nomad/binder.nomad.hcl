# The binder, one a node:  nomad job run binder.nomad.hcl
#
# Each client's own configuration needs, besides an existing folder /run/multibinder:
#   client {
#     max_kill_timeout = "2m"
#     host_volume "multibinder" { path = "/run/multibinder" }
#   }
job "binder" {
  type     = "system"
  priority = 90

  group "binder" {
    volume "multibinder" {
      type   = "host"
      source = "multibinder"
    }

    task "binder" {
      driver = "docker"
      # Capabilities that are added reach uid 0 alone.
      user = "0"

      config {
        image = "registry.example/multibinder:1"
        args  = ["bind", "--sock", "/run/multibinder/multibinder.sock", ":80"]
        # The sockets are in the node's network namespace, not in one that goes with the task.
        network_mode    = "host"
        readonly_rootfs = true
        cap_drop        = ["all"]
        cap_add         = ["net_bind_service"]
      }

      volume_mount {
        volume      = "multibinder"
        destination = "/run/multibinder"
      }

      resources {
        cpu    = 50
        memory = 128
      }
    }
  }
}
