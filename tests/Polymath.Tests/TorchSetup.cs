using System.Runtime.CompilerServices;
using Polymath.Tensors;

namespace Polymath.Tests;

/// <summary>libtorch is loaded before the first test touches a tensor.</summary>
internal static class TorchSetup
{
    // A test assembly is a program: the initializer runs before any of it.
    [ModuleInitializer]
    internal static void Load() => TorchRuntime.Load();
}

/// <summary>Tests that measure or change the state of the whole process: no other test runs at the same time.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
