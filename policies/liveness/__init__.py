"""Proves that no issue can freeze under a policy, by an exhaustive search over what everybody may do."""
