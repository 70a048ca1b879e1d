using Spectre.Console;

namespace Polymath.Cli;

/// <summary>Tables that are not folded in a pipe, which has no width.</summary>
internal static class Wide
{
    private const int PipeWidth = 200;

    internal static Table Table()
    {
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = PipeWidth;
        return new Table();
    }
}
