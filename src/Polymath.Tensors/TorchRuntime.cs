using System.Reflection;
using System.Runtime.InteropServices;
using Polymath.Recipes;

namespace Polymath.Tensors;

/// <summary>
/// Loads libtorch and TorchSharp's native library from where they lie: <c>POLYMATH_LIBTORCH</c>, the program's folder, or the package cache
/// of the build.
/// </summary>
public static partial class TorchRuntime
{
    /// <summary>
    /// The environment variable that names another folder of libtorch files, such as <c>torch/lib</c> of a PyTorch installation.
    /// </summary>
    public const string Variable = "POLYMATH_LIBTORCH";

    // What LibTorch calls beside TorchSharp.
    private static readonly string[] needs =
        ["aoti_torch_get_data_ptr", "aoti_torch_create_tensor_from_blob", "aoti_torch_cpu_mm_out", "torch_parallel_for"];
    private static readonly Lock gate = new();
    private static readonly List<string> loaded = [];
    private static nint core;

    /// <summary>The native files that were loaded, by full path, in order; empty before <see cref="Load"/>.</summary>
    public static IReadOnlyList<string> Loaded => loaded;

    /// <summary>Whether the build mended TorchSharp's library, so that its calls keep what they work on (decision 7).</summary>
    public static bool WrappersMended =>
        typeof(TorchSharp.torch).Assembly.GetCustomAttribute<System.Diagnostics.DebuggableAttribute>() is { IsJITOptimizerDisabled: true };

    /// <summary>The handle of the library that holds libtorch's C functions.</summary>
    internal static nint Core
    {
        get
        {
            Load();
            return core;
        }
    }

    /// <summary>Loads the native files; does nothing when they are loaded already. Must run before the first tensor is made.</summary>
    /// <exception cref="InputException">A file is missing or does not load; the message names it and says what to type.</exception>
    public static void Load()
    {
        lock (gate)
        {
            if (core != 0) return;
            LetWaitingThreadsSleep();
            nint found = 0;
            var folder = TorchFolder();
            // A CUDA build keeps its kernels in libraries of their own, which register themselves when they are loaded.
            foreach (var name in new[] { "c10", "torch_cpu", "c10_cuda", "torch_cuda", "torch" })
            {
                var file = Path.Combine(folder, FileName(name));
                if (!File.Exists(file))
                {
                    if (name.EndsWith("cuda", StringComparison.Ordinal)) continue;
                    throw new InputException($"libtorch is incomplete: {file} is missing. Run `dotnet restore` again, or set {Variable} to "
                        + "a folder that holds libtorch.");
                }
                var handle = Open(file);
                if (name == "torch_cpu") found = handle;
            }
            Open(TorchSharpFile());
            // Another libtorch may lack what is called beside TorchSharp; that is said here, and not in the middle of a run.
            foreach (var needed in needs)
                if (!NativeLibrary.TryGetExport(found, needed, out _))
                    throw new InputException($"{Path.Combine(folder, FileName("torch_cpu"))} lacks {needed}: it is not the libtorch 2.10 "
                        + $"that this build is made for. Set {Variable} to one of that version, or unset it.");
            core = found;
            NativeAllocator.Tune();
        }
    }

    // GNU's OpenMP lets a thread that waits spin for about a millisecond. Two processes on the same cores then keep each other from
    // working: each is three to five times slower than it need be. A short spin is enough between our kernels. Whoever sets either variable
    // decides; it is read when libtorch is loaded.
    private static void LetWaitingThreadsSleep()
    {
        if (!OperatingSystem.IsLinux() || Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is not null
            || Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is not null)
            return;
        _ = SetEnvironment("GOMP_SPINCOUNT", "2000", 0);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);

    private static string TorchFolder()
    {
        var chosen = Environment.GetEnvironmentVariable(Variable);
        if (!string.IsNullOrEmpty(chosen))
            return Directory.Exists(chosen)
                ? Path.GetFullPath(chosen)
                : throw new InputException($"{Variable} names {chosen}, which is not a folder. Unset it, or give the folder that holds "
                    + $"{FileName("torch_cpu")}.");
        var beside = Path.Combine(AppContext.BaseDirectory, "native");
        if (File.Exists(Path.Combine(beside, FileName("torch_cpu")))) return beside;
        return Described("TorchFolder");
    }

    private static string TorchSharpFile()
    {
        var beside = Path.Combine(AppContext.BaseDirectory, "native", FileName("LibTorchSharp"));
        var file = File.Exists(beside) ? beside : Described("TorchSharpLibrary");
        return File.Exists(file)
            ? file
            : throw new InputException($"TorchSharp's native library is missing: {file}. Build again: `dotnet build`.");
    }

    private static string Described(string key) =>
        typeof(TorchRuntime).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().FirstOrDefault(a => a.Key == key)?.Value
            ?? throw new InputException($"This build does not say where libtorch lies ({key}). Build again: `dotnet build`.");

    private static string FileName(string library)
    {
        if (OperatingSystem.IsWindows()) return library + ".dll";
        return OperatingSystem.IsMacOS() ? $"lib{library}.dylib" : $"lib{library}.so";
    }

    private static nint Open(string file)
    {
        try
        {
            var handle = NativeLibrary.Load(file);
            loaded.Add(file);
            return handle;
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new InputException($"{file} does not load: {e.Message} Type `polymath doctor` for what this machine has.", e);
        }
    }
}
