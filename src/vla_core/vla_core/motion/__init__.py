"""Motion between a policy's actions and a controller's commands: polynomials, plans, limits, smoothing."""
