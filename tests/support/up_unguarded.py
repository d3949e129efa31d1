"""`jiesu` whose children survive it, as on a kernel that cannot end them with their parent."""

from runtime import supervisor

supervisor.guarded = list

if __name__ == "__main__":
    from cli.main import main

    main()
