"""HTTP in, commands out: identity, the command protocol, and what readers get to see."""
