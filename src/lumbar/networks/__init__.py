"""The networks in torch: the paper's YOLOv8n for the lumbosacral area and LSLD-Net for the corners in it; ours for one body and for one corner."""
