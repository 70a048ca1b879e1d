using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Training.Reports;
using TorchSharp;

namespace Polymath.Training;

/// <summary>What a run ran on.</summary>
public static class Surroundings
{
    /// <summary>The file of a run's folder that says what the run ran on, and the commits of what it read from hubs.</summary>
    public const string File = "environment.json";

    /// <summary>The commits that a run's sources on hubs were resolved to when it began.</summary>
    /// <param name="folder">The run's folder; one without a run has none.</param>
    /// <exception cref="InputException">The file is damaged.</exception>
    public static IReadOnlyDictionary<string, string> Pins(string folder)
    {
        var file = Path.Combine(folder, File);
        try
        {
            var commits = System.IO.File.Exists(file) ? JsonNode.Parse(System.IO.File.ReadAllText(file))?["hubs"] as JsonObject : null;
            return commits?.ToDictionary(pair => pair.Key, pair => pair.Value!.GetValue<string>()) ?? [];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException)
        {
            throw new InputException($"{file} is damaged: {e.Message} Restore it, or begin anew with --fresh.", e);
        }
    }

    /// <summary>This process's surroundings; libtorch is loaded.</summary>
    public static EnvironmentReport Now() => new(
        Os: RuntimeInformation.OSDescription,
        Dotnet: RuntimeInformation.FrameworkDescription,
        Libtorch: torch.__version__,
        CpuCapability: Capability(),
        Threads: torch.get_num_threads(),
        Device: "cpu",
        Polymath: typeof(Surroundings).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "");

    /// <summary>The CUDA devices that libtorch sees.</summary>
    public static int CudaDevices => torch.cuda.is_available() ? torch.cuda.device_count() : 0;

    // The rule libtorch chooses its kernels by.
    private static string Capability() =>
        Environment.GetEnvironmentVariable("ATEN_CPU_CAPABILITY") is { Length: > 0 } chosen ? chosen.ToUpperInvariant()
        : Avx512BW.VL.IsSupported && Avx512DQ.IsSupported ? "AVX512"
        : Avx2.IsSupported && Fma.IsSupported ? "AVX2"
        : RuntimeInformation.ProcessArchitecture.ToString();
}
