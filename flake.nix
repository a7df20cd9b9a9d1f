{
  description = "Delivers SOPS secrets to services and follows their changes";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAllSystems = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forAllSystems (pkgs: {
        default = pkgs.rustPlatform.buildRustPackage {
          pname = "secretsd";
          version = (nixpkgs.lib.importTOML ./Cargo.toml).workspace.package.version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          nativeBuildInputs = [
            pkgs.installShellFiles
            pkgs.pkg-config
          ];
          buildInputs = [ pkgs.pcsclite ];
          # The tests compare with real sops of two versions; `make test` builds those.
          doCheck = false;
          # The last name is the one that modules of sops-nix call.
          postInstall = ''
            ln -s secretsd $out/bin/sops-install-secrets
            installManPage contrib/man/*
            installShellCompletion contrib/completions/{secretsctl.bash,secretsctl.fish,_secretsctl}
          '';
          meta = {
            description = "Delivers SOPS secrets to services and follows their changes";
            license = with nixpkgs.lib.licenses; [
              mit
              asl20
            ];
            platforms = systems;
            mainProgram = "secretsctl";
          };
        };
      });

      devShells = forAllSystems (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [
            age
            cargo
            cargo-deny
            clippy
            gnumake
            go
            jq
            pcsclite
            pkg-config
            pre-commit
            rage
            rustc
            rustfmt
            sops
            strace
            util-linux
          ];
        };
      });
    };
}
