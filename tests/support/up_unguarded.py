"""`jiesu` whose children outlive it, as where the kernel cannot be asked to end them with their parent."""

from runtime import supervisor

supervisor.guarded = list

if __name__ == "__main__":
    from cli.main import main

    main()
