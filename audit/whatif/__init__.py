"""The what-if: folds real issues again under another policy or calendar, and sets the result beside what happened."""
