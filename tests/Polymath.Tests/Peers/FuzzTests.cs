using System.Globalization;
using System.Text.Json.Nodes;
using Polymath.Training.Evaluation;

namespace Polymath.Tests.Peers;

/// <summary>
/// The suite <c>fuzz</c>: random tiny models of every family, made by transformers (<c>tests/peers/make_fuzz.py</c>), in the folder that
/// <c>POLYMATH_FUZZ</c> names. It is run when it is asked for, and fails where the folder is not to be found.
/// </summary>
[Trait("kind", "parity"), Trait("suite", "fuzz")]
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const double Tolerance = 5e-4;

    // A case says how far its own logits are from those in 64 bits.
    private static double ToleranceOf(string folder) => Math.Max(
        Tolerance,
        20 * (double)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "reference.json")))!["float64"]!);

    [Fact(Explicit = true)]
    public void Every_random_model_has_the_numbers_of_its_peer()
    {
        var folder = Environment.GetEnvironmentVariable("POLYMATH_FUZZ") ?? "";
        Assert.True(Directory.Exists(folder), "POLYMATH_FUZZ names no folder of cases; tests/peers/make_fuzz.py makes them.");
        var cases = Directory.GetDirectories(folder).Order(StringComparer.Ordinal).ToList();
        var faults = cases.Select(FaultOf).OfType<string>().ToList();
        output.WriteLine($"{cases.Count} models, {faults.Count} that differ");
        faults.ForEach(output.WriteLine);
        Assert.NotEmpty(cases);
        Assert.Empty(faults);
    }

    private static string? FaultOf(string folder)
    {
        var name = Path.GetFileName(folder);
        try
        {
            var lines = ReferenceCheck.Run(folder, tolerance: ToleranceOf(folder)).Where(line => !line.Passed).ToList();
            return lines.Count == 0
                ? null
                : $"{name}: " + string.Join(", ", lines.Select(line => string.Create(
                    CultureInfo.InvariantCulture,
                    $"{line.Quantity} {line.Difference:G2}")));
        }
        catch (Exception fault)
        {
            return $"{name}: {fault.GetType().Name}: {fault.Message}";
        }
    }
}
