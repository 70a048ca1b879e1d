namespace Polymath.Runs.Reports;

/// <summary>The result of a gate: how much two models' outputs for the same prompts differ.</summary>
/// <param name="Prompts">The prompts.</param>
/// <param name="Logit">The largest difference of a logit.</param>
/// <param name="Divergence">The largest Kullback-Leibler divergence of a next-token distribution, in nats.</param>
public sealed record GateReport(int Prompts, double Logit, double Divergence);
