using Spectre.Console;

namespace Polymath.Cli;

/// <summary>Tables that a pipe does not fold: it has no width of its own.</summary>
static class Wide
{
    private const int PipeWidth = 200;

    internal static Table Table()
    {
        if (Console.IsOutputRedirected) AnsiConsole.Profile.Width = PipeWidth;
        return new Table();
    }
}
