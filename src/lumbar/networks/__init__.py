"""The paper's two networks in torch: YOLOv8n for the lumbosacral area, LSLD-Net for the corners in it."""
