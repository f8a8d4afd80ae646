"""The methods that LSLD-Net is compared with: one paper, one file."""
